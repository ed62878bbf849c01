#!/usr/bin/env bash
# `bench run hold` where one process may not open 25,000 files: in user-mode Linux (Debian's package of that
# name), a kernel as a program, with one processor, these files and a network of its own.
# Usage: hold-in-uml.sh TARGET-FOLDER [SILENT] [SLOW]; the table comes on standard output. Takes about two minutes.
set -euo pipefail
target=$(realpath "$1") silent=${2:-20000} slow=${3:-2000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/disk"
cat >"$work/init" <<RC
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=$work/disk
mount -t proc proc /proc
mount -t tmpfs -o size=1g tmpfs $work/disk
ip link set lo up
ulimit -n 100000
{ $target/bench run hold --binary $target/postrider --rounds 1 --silent $silent --slow $slow \
  --set limits.connections=$((silent+slow+8000)) --set limits.connections_per_address=$((silent+slow+8000)) || echo "exit \$?"; } >$work/table 2>&1
sync
echo o >/proc/sysrq-trigger
sleep 10
RC
chmod +x "$work/init"
TMPDIR=/dev/shm linux mem=4096M rootfstype=hostfs rootflags=/ rw init="$work/init" con=null con0=null </dev/null >/dev/null 2>&1
cat "$work/table"
grep -q ' slow connections: memory' "$work/table"
