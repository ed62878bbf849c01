# Sourced by run.sh: programs that read, on an account of their own (dora), and what they read is
# compared with what was sent, octet by octet where the program keeps the octets.
echo secret | p account add dora@here.test --password-stdin >/dev/null
printf 'From: Alice <alice@here.test>\r\nTo: dora@here.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?= one\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nfirst line\r\n.dot\r\n..two dots\r\nFrom here\r\nGr\303\274\303\237e\r\n\r\nlast line\r\n' >"$work/one.eml"
tr -d '\r' <"$work/one.eml" | sed '1,/^$/d' >"$work/one.body"
same_body() { tr -d '\r' <"$1" | sed '1,/^$/d' | sed 's/^>From /From /' | diff "$work/one.body" -; }

printf 'account default\nhost localhost\nport %s\ntls on\ntls_starttls off\ntls_trust_file %s\nauth on\nuser alice@here.test\npassword secret\nfrom alice@here.test\n' $submissions "$ca" >"$work/msmtprc"; chmod 600 "$work/msmtprc"
check "msmtp sends" bash -c "msmtp -C $work/msmtprc dora@here.test <$work/one.eml"

# mutt as a reader: opens the mailbox, pipes the first message to a file, marks it, leaves.
cat >"$work/read.muttrc" <<RC
set certificate_file=$ca
set ssl_starttls=yes
set imap_pass=secret
set pop_pass=secret
set folder=
set wait_key=no
set quit=yes
set pipe_decode=no
set move=no
set confirmappend=no
set ssl_verify_host=no
RC
read_by() {
  local program=$1 url=$2 keys=$3
  rm -f "$work/piped"
  TERM=xterm timeout 30 script -qec "$program -n -F $work/read.muttrc -f $url -e 'push \"$keys\"'" /dev/null </dev/null >"$work/screen" 2>&1
  [ -s "$work/piped" ] || { tail -c 2000 "$work/screen"; return 1; }
  same_body "$work/piped"
}
check "mutt reads by IMAP" read_by mutt "imaps://dora%40here.test@localhost:$imaps/INBOX" "<pipe-message>cat >$work/piped<enter><flag-message><sync-mailbox><exit>"
check "mutt's flag arrived" bash -c "curl -sS --cacert $ca --user dora@here.test:secret 'imaps://localhost:$imaps/INBOX?FLAGGED' | grep -q 'SEARCH 1'"
check "mutt reads by POP3" read_by mutt "pops://dora%40here.test@localhost:$pop3s/" "<pipe-message>cat >$work/piped<enter><exit>"
check "neomutt reads by IMAP" read_by neomutt "imaps://dora%40here.test@localhost:$imaps/INBOX" "<pipe-message>cat >$work/piped<enter><exit>"

chmod 711 "$work"
mkdir -p "$work/getmail" "$work/getbox/cur" "$work/getbox/new" "$work/getbox/tmp"
# getmail delivers nothing as root.
as_nobody() { if [ "$(id -u)" -eq 0 ]; then chown -R nobody "$work/getmail" "$work/getbox"; setpriv --reuid nobody --regid nogroup --clear-groups env HOME="$work/getmail" "$@"; else "$@"; fi; }
getmail_rc() {
  cat >"$work/getmail/$1" <<RC
[retriever]
type = $2
server = localhost
port = $3
username = dora@here.test
password = secret
ca_certs = $work/getmail/ca.pem
[destination]
type = Maildir
path = $work/getbox/
[options]
read_all = true
delivered_to = false
received = false
RC
}
cp "$ca" "$work/getmail/ca.pem"
getmail_rc pop SimplePOP3SSLRetriever $pop3s
getmail_rc imap SimpleIMAPSSLRetriever $imaps
fetched_by_getmail() {
  rm -f "$work"/getbox/new/*
  as_nobody getmail --getmaildir "$work/getmail" --rcfile "$1" && same_body "$(ls "$work"/getbox/new/* | head -1)"
}
check "getmail reads by POP3" fetched_by_getmail pop
check "getmail reads by IMAP" fetched_by_getmail imap

printf 'account default\nhost localhost\nport %s\ntls on\ntls_starttls off\ntls_trust_file %s\nuser dora@here.test\npassword secret\nkeep on\ndelivery mbox %s\n' $pop3s "$ca" "$work/mpop.mbox" >"$work/mpoprc"; chmod 600 "$work/mpoprc"
fetched_by_mpop() { mpop -C "$work/mpoprc" --uidls-file="$work/uidls" && sed -i -e 1d -e '${/^$/d}' "$work/mpop.mbox" && same_body "$work/mpop.mbox"; }
touch "$work/mpop.mbox"
check "mpop reads by POP3" fetched_by_mpop
by_each_mechanism() {
  local mechanism
  for mechanism in scram-sha-256 scram-sha-1 plain login; do
    sed "s/^auth on/auth $mechanism/" "$work/msmtprc" >"$work/msmtprc-m"; chmod 600 "$work/msmtprc-m"
    msmtp -C "$work/msmtprc-m" alice@here.test <"$work/one.eml" || { echo "msmtp $mechanism"; return 1; }
    (cat "$work/mpoprc"; echo "auth $mechanism") >"$work/mpoprc-m"; chmod 600 "$work/mpoprc-m"
    mpop -C "$work/mpoprc-m" --uidls-file="$work/uidls-m" || { echo "mpop $mechanism"; return 1; }
  done
}
check "msmtp and mpop: SCRAM, PLAIN, LOGIN" by_each_mechanism
by_app_password() {
  local device; device=$(p account app-password add dora@here.test laptop | grep -oE '([a-z]{5}-){3}[a-z]{5}' | head -1)
  [ -n "$device" ] || { echo "no app password"; return 1; }
  local mechanism
  for mechanism in on scram-sha-256 plain; do
    (sed "s/^password .*/password $device/" "$work/mpoprc"; echo "auth $mechanism") >"$work/mpoprc-a"; chmod 600 "$work/mpoprc-a"
    mpop -C "$work/mpoprc-a" --uidls-file="$work/uidls-a" || { echo "mpop $mechanism"; return 1; }
  done
  p account app-password remove dora@here.test laptop
  ! mpop -C "$work/mpoprc-a" --uidls-file="$work/uidls-a"
}
check "mpop with an app password, by SCRAM and PLAIN, until it is taken back" by_app_password
check "mpop takes nothing twice" bash -c "mpop -C $work/mpoprc --uidls-file=$work/uidls 2>&1 | grep -q 'new: no messages'"

cat >"$work/fetchdora" <<RC
poll localhost protocol pop3 service $pop3s user "dora@here.test" password "secret" keep ssl sslcertfile "$ca" no sslcertck mda "cat > $work/fetcheddora"
RC
chmod 600 "$work/fetchdora"
fetched_by_fetchmail() { fetchmail -f "$work/fetchdora" --nodetach && same_body "$work/fetcheddora"; }
check "fetchmail reads by POP3, octet by octet" fetched_by_fetchmail
sed -i "s/protocol pop3 service [0-9]*/protocol imap service $imaps/" "$work/fetchdora"; rm -f "$work/fetcheddora"
check "fetchmail reads by IMAP, octet by octet" fetched_by_fetchmail

if command -v thunderbird >/dev/null; then
  echo secret | p account add tina@here.test --password-stdin >/dev/null
  check "Thunderbird: account, first sync, read and flagged, a move, new mail" timeout 170 python3 "$here/thunderbird.py" "$ca" $imaps "$work"
fi

# mbsync, both ways: 400 messages, then changes on both sides at once; both ends must be equal.
echo secret | p account add erna@here.test --password-stdin >/dev/null
sed -e "s|bob@here.test|erna@here.test|; s|$work/mail|$work/twoway|g; s|^Expunge|CopyArrivalDate yes\nExpunge|" "$work/mbsyncrc" >"$work/twowayrc"
mkdir -p "$work/twoway"
check "two-way: 400 messages are made" python3 "$here/twoway.py" fill "$ca" $imaps "$work/twoway"
check "two-way: first sync" mbsync -c "$work/twowayrc" -a
check "two-way: equal" python3 "$here/twoway.py" equal "$ca" $imaps "$work/twoway"
check "two-way: both sides change" python3 "$here/twoway.py" change "$ca" $imaps "$work/twoway"
check "two-way: second sync" mbsync -c "$work/twowayrc" -a
check "two-way: equal again" python3 "$here/twoway.py" equal "$ca" $imaps "$work/twoway"
idle_sync() { (cd "$work/twoway" && find . -type f -path '*/[cn]*' | sort) >"$work/before"; mbsync -c "$work/twowayrc" -a && (cd "$work/twoway" && find . -type f -path '*/[cn]*' | sort) | diff "$work/before" -; }
check "two-way: nothing is left to do" idle_sync
