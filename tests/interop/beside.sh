# Sourced by run.sh: the same IMAP commands to this server and to Dovecot's imap, by a seed. docs/imap.md
# explains every class of differences. More seeds: see tests/differential/README.md.
if [ -x /usr/lib/dovecot/imap ]; then
  chmod 711 "$work"
  check "random IMAP commands answered as by Dovecot, or explained" \
    python3 "$here/../differential/run.py" "$postrider" "$work/r" $imaps "$ca" "$work/beside" 4
fi
