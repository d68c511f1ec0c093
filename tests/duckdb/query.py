"""Runs the queries of docs/formats.md in a folder with requests.parquet and series.parquet; prints what
they give as JSON, with the columns of both files."""

import json
import re
import sys

import duckdb

page = open(sys.argv[1], encoding="utf-8").read()
queries = [
    query.strip()
    for block in re.findall(r"```sql\n(.*?)```", page, re.S)
    for query in block.split(";")
    if query.strip()
]
found = {"queries": [duckdb.sql(query).fetchall() for query in queries]}
for name in ["requests", "series"]:
    rows = duckdb.sql(f"DESCRIBE SELECT * FROM '{name}.parquet'").fetchall()
    found[name] = [[row[0], row[1]] for row in rows]
    found[name + "_rows"] = duckdb.sql(f"SELECT count(*) FROM '{name}.parquet'").fetchall()[0][0]
print(json.dumps(found))
