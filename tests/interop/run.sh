#!/usr/bin/env bash
# Drives the real binary with real programs: curl, swaks, IMAP libraries of Python, JavaScript and
# Perl, mbsync, offlineimap, fetchmail, mutt, Thunderbird, nodemailer, Dovecot, Postfix, Exim, OpenSMTPD.
# Usage: run.sh PATH-TO-POSTRIDER. Everything stays on 127.0.0.0/8. Prints 'N passed, M failed'.
set -uo pipefail
postrider=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
export HOME=$work
passed=0 failed=0
B=${PORT_BASE:-26000}
smtp=$((B+25)) submission=$((B+587)) submissions=$((B+465)) imap=$((B+143)) imaps=$((B+993)) pop3=$((B+110)) pop3s=$((B+995))
ok() { echo "ok      $1"; passed=$((passed+1)); }
no() { echo "FAILED  $1"; failed=$((failed+1)); [ -f "$work/out" ] && tail -15 "$work/out" | sed 's/^/    /'; }
check() { local name=$1; shift; if "$@" >"$work/out" 2>&1; then ok "$name"; else no "$name"; fi; }
p() { "$postrider" --root "$work/r" "$@"; }
cleanup() { kill %1 2>/dev/null; for at in "$work/postfix" "$work/hub/postfix" "$work/sts/postfix"; do [ -d "$at" ] && postfix -c "$at" stop >/dev/null 2>&1; done; wait 2>/dev/null; rm -rf "$work"; }
trap cleanup EXIT

echo secret | p setup --yes --listen 127.0.0.1 --port-base $B --hostname localhost \
  --set auth.hash_memory_kib=1024 --set 'relay.retry_seconds=[1]' --set "listen.lmtp=['$work/lmtp','127.0.0.1:$((B+24))']" --set listen.lmtp_mode=0666 --password-stdin alice@here.test >/dev/null || exit 1
"$postrider" --root "$work/r" serve >"$work/serve.out" 2>"$work/serve.log" &
for _ in $(seq 100); do grep -q '^ready' "$work/serve.out" && break; sleep 0.05; done
grep -q "^ready" "$work/serve.out" || { cat "$work/serve.log"; echo "0 passed, 1 failed"; exit 1; }
echo secret | p account add bob@here.test --password-stdin >/dev/null
ca=$work/r/tls/cert.pem
printf 'From: Alice <alice@here.test>\r\nTo: bob@here.test\r\nSubject: by curl\r\n\r\nhello\r\n.a dot\r\n' >"$work/m.eml"
waits() { local n=$1; shift; for _ in $(seq "$n"); do "$@" && return 0; sleep 0.1; done; return 1; }

check "curl smtps submits" curl -sS --cacert "$ca" --user alice@here.test:secret --mail-from alice@here.test --mail-rcpt bob@here.test -T "$work/m.eml" smtps://localhost:$submissions
check "curl smtp STARTTLS submits" curl -sS --ssl-reqd --cacert "$ca" --user alice@here.test:secret --mail-from alice@here.test --mail-rcpt bob@here.test -T "$work/m.eml" smtp://localhost:$submission
check "curl imaps fetches" bash -c "curl -sS --cacert $ca --user bob@here.test:secret 'imaps://localhost:$imaps/INBOX;UID=1' | grep -q '^.a dot'"
check "curl imap STARTTLS searches" bash -c "curl -sS --ssl-reqd --cacert $ca --user bob@here.test:secret 'imap://localhost:$imap/INBOX?SUBJECT%20curl' | grep -q 'SEARCH 1 2'"
check "curl pop3s retrieves" bash -c "curl -sS --cacert $ca --user bob@here.test:secret pop3s://localhost:$pop3s/1 | grep -q '^.a dot'"
check "curl pop3 STLS lists" bash -c "curl -sS --ssl-reqd --cacert $ca --user bob@here.test:secret pop3://localhost:$pop3/ | grep -q '^2 '"
check "swaks STARTTLS AUTH PLAIN" swaks --server 127.0.0.1:$submission --tls --auth PLAIN --auth-user alice@here.test --auth-password secret --from alice@here.test --to bob@here.test
check "swaks AUTH LOGIN" swaks --server 127.0.0.1:$submission --tls --auth LOGIN --auth-user alice@here.test --auth-password secret --from alice@here.test --to bob@here.test
check "swaks implicit TLS" swaks --server 127.0.0.1:$submissions --tlsc --auth PLAIN --auth-user alice@here.test --auth-password secret --from alice@here.test --to bob@here.test
check "swaks LMTP over TCP" swaks --protocol LMTP --server 127.0.0.1:$((B+24)) --from x@else.test --to bob@here.test,alice@here.test
check "swaks LMTP over a UNIX socket, STARTTLS" swaks --protocol LMTP --tls --socket "$work/lmtp" --from x@else.test --to bob@here.test
check "swaks pipelined from a stranger" swaks --server 127.0.0.1:$smtp --pipeline --from x@else.test --to bob@here.test
. "$here/tls.sh"
check "Perl: Net::SMTP, Net::POP3" perl "$here/net_mail.pl" "$ca" $smtp $pop3
check "python smtplib, imaplib, poplib" python3 "$here/clients.py" "$ca" $submission $imaps $pop3s
check "annotations of messages by imaplib" python3 "$here/annotate.py" "$ca" $imaps

libraries=$here/../../target/interop
if [ -x "$libraries/venv/bin/python" ]; then
  check "imapclient, imap-tools, aioimaplib" "$libraries/venv/bin/python" "$here/imap_clients.py" "$ca" $imaps
fi
if [ -d "$libraries/node_modules/imapflow" ]; then
  check "imapflow" env NODE_MODULES_AT="$libraries/" node "$here/imapflow.mjs" $imaps
fi
if [ -d "$libraries/node_modules/emailjs-imap-client" ]; then
  check "emailjs-imap-client" env NODE_MODULES_AT="$libraries/" NODE_EXTRA_CA_CERTS="$ca" node "$here/emailjs.mjs" $imaps
fi
spf=$here/../../target/debug/examples/spf suite=$libraries/pyspf/test/rfc7208-tests.yml
if [ -x "$spf" ] && [ -f "$suite" ]; then
  check "the openspf suite" "$libraries/venv/bin/python" "$here/openspf.py" "$suite" "$spf"
fi
if [ -x "${spf%spf}dkim" ]; then
  check "dkimpy, both ways" "$libraries/venv/bin/python" "$here/dkimpy.py" "${spf%spf}dkim"
fi
if [ -x "${spf%spf}dkim" ] && [ -d "$libraries/node_modules/mailauth" ]; then
  check "mailauth, both ways" env NODE_MODULES_AT="$libraries/" node "$here/mailauth.mjs" "${spf%spf}dkim"
fi
p domain dkim show here.test --json >"$work/keys.json"
signed() { "$libraries/venv/bin/python" "$here/signed.py" "$work/keys.json" "$@"; }
if "$libraries/venv/bin/python" -c 'import authheaders, dnslib' 2>/dev/null; then
  check "SPF, DKIM, DMARC over real DNS" "$libraries/venv/bin/python" "$here/speaking.py" "$postrider" $((B+1300)) "$work/speaking"
fi
check "Mail::IMAPClient" perl "$here/mail_imapclient.pl" "$ca" $imaps
check "Mail::IMAPTalk" perl "$here/imaptalk.pl" "$ca" $imaps
cat >"$work/offlineimaprc" <<RC
[general]
accounts = a
metadata = $work/offline
ui = basic
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = $work/offmail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = $imaps
remoteuser = bob@here.test
remotepass = secret
ssl = yes
sslcacertfile = $ca
RC
check "offlineimap first sync" offlineimap -c "$work/offlineimaprc" -o
check "offlineimap: nothing to do the second time" bash -c "! offlineimap -c $work/offlineimaprc -o 2>&1 | grep -q 'Copy message'"

cat >"$work/mbsyncrc" <<RC
IMAPAccount a
Host localhost
Port $imaps
User bob@here.test
Pass secret
SSLType IMAPS
CertificateFile $ca

IMAPStore far
Account a

MaildirStore near
Path $work/mail/
Inbox $work/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
RC
mkdir -p "$work/mail"
check "mbsync first sync" mbsync -c "$work/mbsyncrc" -a
count() { find "$work/mail/INBOX" -type f -path '*/cur/*' -o -type f -path '*/new/*' | grep -c .; }
first=$(find "$work/mail/INBOX/cur" "$work/mail/INBOX/new" -type f | sort | head -1)
base=$(basename "$first"); mv "$first" "$work/mail/INBOX/cur/${base%%:*}:2,FS"
second=$(find "$work/mail/INBOX/cur" "$work/mail/INBOX/new" -type f | sort | grep -v "${base%%:*}" | head -1)
mv "$second" "$work/mail/INBOX/cur/$(basename "${second%%:*}"):2,T"
before=$(count)
check "mbsync second sync: flags and deletions go up" mbsync -c "$work/mbsyncrc" -a
check "mbsync: a flag and a deletion arrived" python3 "$here/flags.py" "$ca" $imaps $((before-1))
echo secret | p account add eva@here.test --password-stdin >/dev/null
check "mbsync both ways, 2,000 messages" python3 "$here/two_way.py" "$ca" $imaps "$work"
echo secret | p account add carol@here.test --password-stdin >/dev/null
check "mail for carol" swaks --server 127.0.0.1:$smtp --from x@else.test --to carol@here.test
cat >"$work/fetchmailrc" <<RC
poll localhost protocol pop3 service $pop3s user "carol@here.test" password "secret" ssl sslcertfile "$ca" no sslcertck mda "cat >> $work/fetched"
RC
chmod 600 "$work/fetchmailrc"
check "fetchmail downloads and deletes" bash -c "fetchmail -f $work/fetchmailrc --nodetach -v && grep -q 'swaks' $work/fetched"
printf 'set from=alice@here.test\nset smtp_url=smtps://alice%%40here.test@localhost:%s\nset smtp_pass=secret\nset certificate_file=%s\nset ssl_verify_host=no\n' $submissions "$ca" >"$work/muttrc"
check "mutt sends" bash -c "echo body | mutt -n -F $work/muttrc -s 'by mutt' bob@here.test"

echo secret | p account add ella@here.test --password-stdin >/dev/null
check "50 MB by IMAP in 8 MB of memory, COMPRESS never stalls" python3 "$here/large.py" "$ca" $imaps "$(jobs -p %1)"

. "$here/readers.sh"
. "$here/mime.sh"
. "$here/beside.sh"

# Debian's Postfix: its configuration in $1, all else behind the prefix $2, SMTP at $3; the rest of main.cf is read.
postfix_at() {
  mkdir -p "$1" "$2spool" "$2data" "$2mail/all"; chmod 755 "$work"; chown postfix "$2data"; chown -R nobody "$2mail"
  local more; more=$(cat)
  cat >"$1/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $2spool
data_directory = $2data
mail_owner = postfix
maillog_file = $2.log
maillog_file_prefixes = $work
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_base = $2mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
virtual_minimum_uid = 1
$more
CF
  sed -e 's/^\(\S\+\s\+\S\+\s\+\S\+\s\+\S\+\s\+\)y\(\s\)/\1n\2/' -e "s/^smtp      inet.*/$3 inet n - n - - smtpd/" /etc/postfix/master.cf >"$1/master.cf"
  grep -q '^postlog ' "$1/master.cf" || echo 'postlog unix-dgram n - n - 1 postlogd' >>"$1/master.cf"
}

. "$here/logins.sh"
. "$here/ldap.sh"
. "$here/sql.sh"
. "$here/pam.sh"
. "$here/peers.sh"
. "$here/smarthost.sh"
. "$here/mta_sts.sh"
. "$here/dane.sh"

# Debian's Postfix as a peer in both directions, with STARTTLS.
if [ "$(id -u)" -eq 0 ]; then
  mkdir -p "$work/postfix"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$work/postfix/key.pem" -out "$work/postfix/cert.pem" 2>/dev/null
  postfix_at "$work/postfix" "$work/pf" "127.0.0.1:$((B+26))" <<CF
myhostname = postfix.peer.test
mydestination = peer.test, nodsn.test, far.test
mailbox_transport =
local_transport = virtual
virtual_mailbox_domains =
virtual_alias_maps = inline:{ {back@peer.test=bob@here.test}, {lost@peer.test=nobody@here.test} }
transport_maps = inline:{ {here.test=smtp:[127.0.0.1]:$smtp}, {lm.test=lmtp:unix:$work/lmtp} }
mynetworks = 127.0.0.0/8
smtp_tls_security_level = encrypt
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = $work/postfix/cert.pem
smtpd_tls_key_file = $work/postfix/key.pem
CF
  printf '127.0.0.1:%s inet n - n - - smtpd\n  -o smtpd_discard_ehlo_keywords=dsn\n' $((B+30)) >>"$work/postfix/master.cf"
  postfix -c "$work/postfix" start >"$work/out" 2>&1
  p route add peer.test 127.0.0.1:$((B+26)) >/dev/null
  check "Postfix sends to us under STARTTLS" bash -c "sleep 1; printf 'Subject: by postfix\n\nhi\n' | sendmail -C $work/postfix -f pf@peer.test bob@here.test"
  arrived() { curl -sS --cacert "$ca" --user bob@here.test:secret "imaps://localhost:$imaps/INBOX?SUBJECT%20postfix" 2>/dev/null | grep -q 'SEARCH [0-9]'; }
  check "the message from Postfix is in the INBOX" waits 100 arrived
  p domain add lm.test >/dev/null; echo secret | p account add carol@lm.test --password-stdin >/dev/null
  echo secret | p account add dora@lm.test --password-stdin >/dev/null
  printf 'Subject: by lmtp\n\nhi\n' | sendmail -C "$work/postfix" -f pf@peer.test carol@lm.test nobody@lm.test dora@lm.test
  has() { curl -sS --cacert "$ca" --user "$1":secret "imaps://localhost:$imaps/INBOX?SUBJECT%20lmtp" 2>/dev/null | grep -q 'SEARCH 1'; }
  three() { has carol@lm.test && has dora@lm.test && grep -q 'nobody@lm.test.*status=bounced.*5.1.1' "$work/pf.log"; }
  check "Postfix's lmtp client: two delivered, one refused" waits 100 three
  check "we relay to Postfix under STARTTLS" curl -sS --cacert "$ca" --user alice@here.test:secret --mail-from alice@here.test --mail-rcpt dave@peer.test -T "$work/m.eml" smtps://localhost:$submissions
  delivered() { grep -rqs 'by curl' "$work/pfmail"; }
  cp "$work/pf.log" "$work/out" 2>/dev/null
  if waits 100 delivered; then ok "Postfix delivered our message"; else cp "$work/pf.log" "$work/out"; no "Postfix delivered our message"; fi
  check "our signatures hold at Postfix" signed "$work/pfmail"
  # Two hops: to Postfix, and from there back to us.
  sed 's/by curl/there and back/' "$work/m.eml" >"$work/back.eml"
  curl -sS --cacert "$ca" --user alice@here.test:secret --mail-from alice@here.test --mail-rcpt back@peer.test -T "$work/back.eml" smtps://localhost:$submissions
  came_back() { curl -sS --cacert "$ca" --user bob@here.test:secret "imaps://localhost:$imaps/INBOX?SUBJECT%20%22there%20and%20back%22" 2>/dev/null | grep -oE 'SEARCH [0-9]+' | grep -oE '[0-9]+' >"$work/back"; }
  check "a message came back by way of Postfix" waits 100 came_back
  curl -sS --cacert "$ca" --user bob@here.test:secret "imaps://localhost:$imaps/INBOX;MAILINDEX=$(cat "$work/back")" >"$work/back.eml"
  check "our signatures hold after two hops" signed "$work/back.eml"
  # Sent on by an alias, given up by Postfix: the report finds its way back by the sender we made.
  p route add far.test 127.0.0.1:$((B+26)) >/dev/null
  p alias add away@here.test lost@peer.test >/dev/null
  check "a message from elsewhere is taken for an alias that leads elsewhere" swaks --server 127.0.0.1:$smtp --from ann@far.test --to away@here.test --header 'Subject: sent on'
  reported() { cp "$work/pf.log" "$work/out"; grep -rqs '^Delivered-To: ann@far.test' "$work/pfmail"; }
  check "Postfix's report about it comes to its sender by way of us" waits 100 reported
  rewritten() { grep -oE 'SRS0=[^>]*=far.test=ann@here.test' "$work/pf.log" | head -1; }
  check "Perl's Mail::SRS reads our sender and gives it back" perl -MMail::SRS -e '$srs = Mail::SRS->new(Secret => ["x"]); $on = $srs->forward($ARGV[0], "other.test"); die $on unless $on =~ /^SRS1=/ and $srs->reverse($on) eq $ARGV[0]' "$(rewritten)"
  p route add nodsn.test 127.0.0.1:$((B+30)) >/dev/null
  check "reports of success: Postfix with DSN and without" python3 "$here/dsn.py" "$ca" $submission $imaps
  check "it went under TLS" grep -rq 'with ESMTPS' "$work/pfmail"
fi
grep -qiE 'panicked' "$work/serve.log" && { no "no panic in the log"; grep -i panicked "$work/serve.log"; }
grep -q secret "$work/serve.log" && no "no password in the log"
p_pid=$(jobs -p %1); kill -TERM "$p_pid"; if wait "$p_pid"; then ok "ends cleanly on SIGTERM"; else no "ends cleanly on SIGTERM"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
