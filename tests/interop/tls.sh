# openssl s_client and testssl.sh against every TLS port, swaks in all its AUTH and TLS modes; sourced
# by run.sh.
tls_ports=("$submissions" "$imaps" "$pop3s" "$smtp smtp" "$submission smtp" "$imap imap" "$pop3 pop3")
# PORT [STARTTLS-PROTOCOL] and options of s_client
client() { local port=$1 how=${2:-}; shift $(($# > 1 ? 2 : 1)); timeout 10 openssl s_client -connect localhost:$port ${how:+-starttls $how} -CAfile "$ca" -verify_return_error "$@" </dev/null; }
speaks() {
  local target
  for target in "${tls_ports[@]}"; do
    set -- $target
    client "$1" "${2:-}" -tls1_3 2>&1 | grep -q 'TLSv1.3, Cipher is TLS_AES' || { echo "TLS 1.3 on $target"; return 1; }
    client "$1" "${2:-}" -tls1_2 2>&1 | grep -q 'Cipher is ECDHE-ECDSA-' || { echo "TLS 1.2 on $target"; return 1; }
  done
}
refuses() {
  local target weak
  for target in "${tls_ports[@]}"; do
    set -- $target
    for weak in '-tls1 -cipher ALL:@SECLEVEL=0' '-tls1_1 -cipher ALL:@SECLEVEL=0' '-tls1_2 -cipher AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0' \
      '-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0' '-tls1_2 -cipher aNULL:eNULL:@SECLEVEL=0' '-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0'; do
      # shellcheck disable=SC2086
      if client "$1" "${2:-}" $weak 2>&1 | grep -q 'Cipher is [A-Z]'; then echo "$weak on $target"; return 1; fi
    done
  done
}
# A client that wants another protocol (ALPN) is sent away with the alert for that.
only_its_own() {
  local target
  for target in "${tls_ports[@]}"; do
    set -- $target
    client "$1" "${2:-}" -alpn http/1.1,h2 >"$work/alpn" 2>&1 && { echo "HTTP on $target"; return 1; }
    grep -q 'alert no application protocol' "$work/alpn" || { echo "no alert on $target"; cat "$work/alpn"; return 1; }
  done
  client "$imaps" "" -alpn imap 2>&1 | grep -q 'ALPN protocol: imap' || { echo "imap on $imaps"; return 1; }
}
check "openssl s_client: TLS 1.2 and 1.3 on every port" speaks
check "openssl s_client: no port takes a client of another protocol" only_its_own
check "openssl s_client: no old protocol, no weak cipher" refuses

swaks_all() {
  local auth tls common=(--from alice@here.test --to bob@here.test --auth-user alice@here.test --auth-password secret --silent 1)
  for auth in PLAIN LOGIN; do
    for tls in "--server 127.0.0.1:$submission --tls" "--server 127.0.0.1:$submissions --tls-on-connect" "--server 127.0.0.1:$submission --tls-protocol tlsv1_2 --tls" "--server 127.0.0.1:$submission --tls-optional-strict --pipeline"; do
      # shellcheck disable=SC2086
      swaks $tls --auth $auth "${common[@]}" || { echo "$auth $tls"; return 1; }
    done
  done
  # What we do not have, and a wrong password, are said; 28 and 29 are swaks' words for that.
  swaks --server 127.0.0.1:$submission --tls --auth CRAM-MD5 "${common[@]}"; [ $? -eq 28 ] || { echo CRAM-MD5; return 1; }
  swaks --server 127.0.0.1:$submission --tls --auth PLAIN "${common[@]}" --auth-password wrong --from alice@here.test; [ $? -eq 28 ] || { echo "a wrong password"; return 1; }
  swaks --server 127.0.0.1:$submission --auth PLAIN "${common[@]}"; [ $? -eq 28 ] || { echo "a password in clear"; return 1; }
  swaks --server 127.0.0.1:$submission --tls --auth-optional "${common[@]}" || { echo "--auth-optional"; return 1; }
}
check "swaks: every AUTH and TLS mode" swaks_all

# Protocols, ciphers and forward secrecy of one port here; all checks of all ports take ten minutes.
if command -v testssl >/dev/null; then
  no_weakness() {
    timeout 60 testssl --quiet --color 0 --warnings off --nodns none --ip 127.0.0.1 -p -f -P --starttls smtp localhost:$smtp
    ! grep -qE 'NOT ok|VULNERABLE' "$work/out" && grep -q 'TLS 1.3 *offered' "$work/out"
  }
  check "testssl.sh names no weakness" no_weakness
fi
