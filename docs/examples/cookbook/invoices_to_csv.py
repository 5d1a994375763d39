"""Reads invoices, one a file, and writes a line of CSV for each: python invoices_to_csv.py FILE…"""

import csv
import json
import os
import sys
from pathlib import Path

from baton_client import BatonClient

baton = BatonClient(os.environ.get("BATON_URL", "http://127.0.0.1:8080"), os.environ.get("BATON_TOKEN"))
table = csv.writer(sys.stdout)
table.writerow(["file", "number", "total", "currency"])
for name in sys.argv[1:]:
    session = str(baton.create_session()["id"])
    with baton.run(session, Path(name).read_text(), agent="invoice") as run:
        invoice = json.loads(run.text())
    table.writerow([name, invoice["number"], invoice["total"], invoice["currency"]])
