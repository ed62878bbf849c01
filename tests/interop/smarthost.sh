# Sourced by run.sh: Debian's Postfix as a smarthost that wants a login, proven by Dovecot, at ports 587
# (STARTTLS) and 465. They are real ports, since at 465 TLS begins at once, so an address of its own.
if [ "$(id -u)" -eq 0 ] && command -v postfix >/dev/null && command -v doveadm >/dev/null; then
  hub=127.$((B/256)).$((B%256)).9 at=$work/hub
  mkdir -p "$at/run"; chmod 755 "$at"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "$at/ca.key" -out "$at/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=hub -keyout "$at/key.pem" 2>/dev/null |
    openssl x509 -req -days 2 -CA "$at/ca.pem" -CAkey "$at/ca.key" -CAcreateserial -extfile <(echo "subjectAltName=IP:$hub") -out "$at/cert.pem" 2>/dev/null
  cat >"$at/dovecot.conf" <<CONF
protocols =
base_dir = $at/run
state_dir = $at/run
log_path = $at/dovecot.log
ssl = no
auth_mechanisms = plain login
passdb {
  driver = static
  args = user=us password=open-sesame
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/
}
service auth {
  unix_listener $at/auth {
    mode = 0666
  }
}
CONF
  postfix_at "$at/postfix" "$at/pf" "$hub:587" <<CF
myhostname = hub.test
mydestination =
virtual_mailbox_domains = world.test
mynetworks =
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = $at/cert.pem
smtpd_tls_key_file = $at/key.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = $at/auth
smtpd_sasl_auth_enable = yes
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
CF
  printf '%s:465 inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n' "$hub" >>"$at/postfix/master.cf"
  dovecot -F -c "$at/dovecot.conf" >"$at/dovecot.out" 2>&1 &
  hub_auth=$!
  postfix -c "$at/postfix" start >"$at/postfix.out" 2>&1
  waits 50 test -S "$at/auth"

  S=$((B+1500))
  h() { "$postrider" --root "$at/r" "$@"; }
  hub_submits() { printf 'From: alice@here.test\r\nSubject: %s\r\n\r\nhi\r\n' "$1" >"$at/m.eml"; curl -sS --ssl-reqd --cacert "$at/r/tls/cert.pem" --user alice@here.test:secret --mail-from alice@here.test --mail-rcpt dave@world.test -T "$at/m.eml" smtps://localhost:$((S+465)); }
  hub_has() { grep -rqs "^Subject: $1" "$at/pfmail"; }
  waiting() { h queue list >"$work/out"; grep -q 'waiting, [1-9].* attempt' "$work/out"; }
  # $1 port, $2 password, as the server begins anew with them.
  hub_serve() {
    [ -n "${hub_server:-}" ] && kill "$hub_server" && wait "$hub_server"
    sed -i "s/^smarthost = .*/smarthost = \"$hub:$1\"/" "$at/r/postrider.toml"
    echo "$2" >"$at/r/smarthost.secret"
    : >"$at/serve.out"
    "$postrider" --root "$at/r" serve >"$at/serve.out" 2>>"$at/serve.log" &
    hub_server=$!
    waits 100 grep -q '^ready' "$at/serve.out"
  }
  mkdir -p "$at/r"; echo open-sesame >"$at/r/smarthost.secret"
  check "a server that sends by a smarthost with a login is set up" bash -c "echo secret | $postrider --root $at/r setup --yes --listen 127.0.0.1 --port-base $S --hostname localhost \
    --set auth.hash_memory_kib=1024 --set relay.retry_seconds=[1] --set relay.smarthost=$hub:587 --set relay.smarthost_user=us \
    --set relay.smarthost_password=smarthost.secret --set relay.authorities=$at/ca.pem --password-stdin alice@here.test"
  for port in 587 465; do
    hub_serve $port open-sesame
    hub_submits "right $port"
    check "Postfix as smarthost takes our login at $port" waits 100 hub_has "right $port"
    hub_serve $port wrong
    hub_submits "wrong $port"
    check "at $port a wrong password makes mail wait" waits 100 waiting
    id=$(h queue list | awk 'NR == 1 {print $1}')
    h queue show "$id" >"$at/shown"
    check "and queue show says so" grep -q '<dave@world.test>  deferred: .*535 5.7.8' "$at/shown"
    check "the password is not in the journey" bash -c "! grep -qE 'wrong$|$(printf '\0us\0wrong' | base64)' $at/shown"
    hub_serve $port open-sesame
    check "it goes once the password is right, and nothing came back" bash -c "$(declare -f waits hub_has); at=$at; waits 100 hub_has 'wrong $port' && ! curl -sS --cacert $at/r/tls/cert.pem --user alice@here.test:secret imaps://localhost:$((S+993))/INBOX?ALL | grep -q 'SEARCH 1'"
  done
  check "the smarthost knew who it was, under TLS" bash -c "[ \$(grep -c 'sasl_method=PLAIN, sasl_username=us' $at/pf.log) -ge 4 ] && grep -rq 'with ESMTPSA' $at/pfmail"
  kill "$hub_server"; wait "$hub_server"; cat "$at/serve.log" >>"$work/serve.log"
  postfix -c "$at/postfix" stop >/dev/null 2>&1
  kill "$hub_auth"; wait "$hub_auth" 2>/dev/null
fi
