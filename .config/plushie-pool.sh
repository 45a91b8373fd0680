#!/bin/sh
# A setup script for cargo-nextest: starts a pool, tells the tests where it is, and ends it after
# the run, however that ends.
set -eu
# Inside `plushie-pool run` there is one already.
[ -z "${PLUSHIE_SOCKET:-}" ] || exit 0
nextest=$PPID
dir=$(mktemp -d)
: >"$dir/pool"
"${PLUSHIE_POOL:-plushie-pool}" serve >"$dir/pool" 2>"$dir/log" </dev/null &
pool=$!
{
  while kill -0 "$nextest" && kill -0 "$pool"; do sleep 1; done
  kill "$pool"
  rm -r "$dir"
} >/dev/null 2>&1 </dev/null &
until grep -q '^PLUSHIE_SOCKET=' "$dir/pool"; do
  kill -0 "$pool" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
grep '^PLUSHIE_' "$dir/pool" >>"$NEXTEST_ENV"
