"""The model's side: Anthropic's Messages API, from sockets to whole turns. Nothing of the SDK passes this package."""
