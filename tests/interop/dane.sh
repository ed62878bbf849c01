# Sourced by run.sh: DANE against real signed zones, with Debian's Postfix as everybody's mail server.
# Its certificate is signed by nobody; only its TLSA records prove it.
if [ "$(id -u)" -eq 0 ] && command -v postfix >/dev/null && command -v named >/dev/null; then
  at=$work/dane D=$((B+2100)) mx=$((B+1025))
  mkdir -p "$at"; chmod 755 "$at"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=nobody -keyout "$at/key.pem" -out "$at/cert.pem" 2>/dev/null
  of_key() { openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1; }
  of_key "$at/cert.pem" >"$at/fits"
  if command -v delv >/dev/null; then
    check "delv agrees on what DNSSEC proves" python3 "$here/dnssec.py" "$here/../../target/debug/examples/dnssec" $((D+3)) "$at/random" 1 150
  fi
  check "BIND serves signed zones" bash "$here/zones.sh" "$at/dns" $((D+1)) 127.0.0.1 $mx "$at/fits"
  postfix_at "$at/postfix" "$at/pf" "127.0.0.1:$mx" <<CF
myhostname = mx.secure.test
mydestination =
virtual_mailbox_domains = static:all
mynetworks = 127.0.0.0/8
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_tls_cert_file = $at/cert.pem
smtpd_tls_key_file = $at/key.pem
CF
  postfix -c "$at/postfix" start >"$at/postfix.out" 2>&1
  d() { "$postrider" --root "$at/r" "$@"; }
  # $1 the port of DNS.
  dane_serve() {
    [ -n "${dane_server:-}" ] && kill "$dane_server" && wait "$dane_server"
    sed -i "s/^servers = .*/servers = [\"127.0.0.1:$1\"]/" "$at/r/postrider.toml"
    : >"$at/serve.out"
    "$postrider" --root "$at/r" serve >"$at/serve.out" 2>>"$at/serve.log" &
    dane_server=$!
    waits 100 grep -q '^ready' "$at/serve.out"
  }
  dane_sends() { printf 'From: alice@here.test\r\nSubject: %s for %s\r\n\r\nhi\r\n' "$1" "$2" >"$at/m.eml"; curl -sS --ssl-reqd --cacert "$at/r/tls/cert.pem" --user alice@here.test:secret --mail-from alice@here.test --mail-rcpt "bob@$2" -T "$at/m.eml" smtps://localhost:$((D+465)); }
  dane_has() { grep -rqs "^Subject: $1 for $2" "$at/pfmail"; }
  dane_waits() { d queue list --json >"$at/list" && id=$(python3 -c "import json,sys; print(next((m['id'] for m in json.load(open(sys.argv[1])) if any(r['address'] == 'bob@' + sys.argv[2] and r['attempts'] for r in m['recipients'])), ''))" "$at/list" "$1") && [ -n "$id" ] && d queue show "$id" >"$work/out" && grep -q "$2" "$work/out"; }
  mkdir -p "$at/r"; cp "$at/dns/anchors" "$at/r/"
  dane_setup() {
    echo secret | d setup --yes --listen 127.0.0.1 --port-base $D --hostname localhost --set auth.hash_memory_kib=1024 \
      --set 'relay.retry_seconds=[1]' --set relay.port=$mx --set "dns.servers=['127.0.0.1:$((D+1))']" --set dns.trust_anchors=anchors --password-stdin alice@here.test
  }
  check "a server that knows the root's keys is set up" dane_setup
  check "domain dns tells our own TLSA record" bash -c "$postrider --root $at/r domain dns here.test | grep -q \"_25._tcp.localhost. TLSA 3 1 1 $(of_key "$at/r/tls/cert.pem")\""
  dane_serve $((D+1))
  proven=(secure.test nsec3.test alias.secure.test aliasplain.secure.test shared.nsec3.test renamed.secure.test x.wild.secure.test x.wild.nsec3.test self.secure.test)
  not_proven=(none.secure.test none.nsec3.test plain.test crossed.secure.test unusable.secure.test)
  for domain in "${proven[@]}" "${not_proven[@]}"; do dane_sends first "$domain"; done
  all_came() { local domain; for domain in "${proven[@]}" "${not_proven[@]}"; do dane_has first "$domain" || { echo "not $domain"; return 1; }; done; }
  check "Postfix gets what DANE proves, and what it says nothing of" waits 200 all_came
  check "all of it under TLS" bash -c "! grep -rLs 'using TLSv1' $at/pfmail/all/new | grep -q ."
  for row in "wrong.secure.test|DANE: .*none of those that DNS has" "odd.secure.test|DANE: .*none of those that DNS has" "bogus.test|DNSSEC validation failed" "old.test|DNSSEC validation failed"; do
    domain=${row%%|*}
    dane_sends second "$domain"
    check "mail for $domain waits, and queue show says why" waits 100 dane_waits "$domain" "${row#*|}"
  done
  check "status says that DNSSEC works" bash -c "$postrider --root $at/r status --json | grep -q '\"dnssec\":true'"
  # Begun anew: processes that a reload leaves would still offer it.
  dane_postfix() { postfix -c "$at/postfix" stop >/dev/null 2>&1; sed -i "s/^smtpd_tls_security_level = .*/smtpd_tls_security_level = $1/" "$at/postfix/main.cf"; postfix -c "$at/postfix" start >/dev/null 2>&1; }
  dane_postfix none
  dane_sends third secure.test; dane_sends third plain.test
  check "without STARTTLS nothing goes where DANE wants it" waits 100 dane_waits secure.test "DANE: .*no STARTTLS"
  check "and elsewhere it goes" waits 100 dane_has third plain.test
  dane_postfix may
  check "it goes when STARTTLS is back" waits 200 dane_has third secure.test
  dane_serve $((D+2))
  dane_sends fourth wrong.nsec3.test
  check "where DNS leaves signatures out, mail goes as before" waits 100 dane_has fourth wrong.nsec3.test
  check "and status says so" bash -c "$postrider --root $at/r status | grep -q 'no DANE'"
  kill "$dane_server"; wait "$dane_server" 2>/dev/null
  postfix -c "$at/postfix" stop >/dev/null 2>&1
  kill "$(cat "$at/dns/signed.pid")" "$(cat "$at/dns/unsigned.pid")" 2>/dev/null
fi
