"""LangGraph's smallest agent: one node that asks the model with all messages of its thread."""

from __future__ import annotations

from langchain_anthropic import ChatAnthropic
from langgraph.graph import START, MessagesState, StateGraph

model = ChatAnthropic(model="claude-sonnet-5-5", max_tokens=32_000)


async def answer(state: MessagesState) -> dict[str, list[object]]:
    system = ("system", "You are a helpful assistant.")
    return {"messages": [await model.ainvoke([system, *state["messages"]])]}


builder = StateGraph(MessagesState)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
graph = builder.compile()
