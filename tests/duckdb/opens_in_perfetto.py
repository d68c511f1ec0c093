"""Opens a trace with Perfetto's trace processor; prints counts of slices and counters as JSON."""

import json
import sys

from perfetto.trace_processor import TraceProcessor

with TraceProcessor(trace=sys.argv[1]) as processor:
    ask = lambda sql: [row.n for row in processor.query(sql)][0]
    print(
        json.dumps(
            {
                "requests": ask("select count(*) as n from slice where name = 'request'"),
                "steps": ask("select count(*) as n from slice where category = 'step'"),
                "counters": ask("select count(*) as n from counter"),
                "errors": ask(
                    "select coalesce(sum(value), 0) as n from stats "
                    "where severity in ('error', 'data_loss') and value > 0"
                ),
            }
        )
    )
