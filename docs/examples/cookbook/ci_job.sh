#!/bin/sh
# A job of a pipeline: the agent reviews what has changed, and the job fails if it finds fault.
# usage: ci_job.sh TEXT, with BATON_URL and BATON_TOKEN set; it may read and may not do anything else.
set -eu

baton send new "$1" --agent reviewer --approve none >review.txt || {
    status=$?
    echo "the review did not come to its end (exit code $status)" >&2
    exit "$status"
}
cat review.txt
tail -n 1 review.txt | grep -qx 'Verdict: pass'
