# Logins without passwords, by real programs; sourced by run.sh. A second server, whose issuer of
# tokens is a process of its own, and an authority that signs certificates of clients.
L=$((B+1000)) idp=$((B+1900)) home=$work/l
mkdir -p "$home/tokens"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
  -keyout "$home/ca.key" -out "$home/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=alice \
  -keyout "$home/alice.key" -out "$home/alice.csr" 2>/dev/null
printf 'subjectAltName=email:alice@here.test\nextendedKeyUsage=clientAuth\n' >"$home/ext"
openssl x509 -req -in "$home/alice.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -days 2 \
  -extfile "$home/ext" -out "$home/alice.pem" 2>/dev/null
issuing=no
if [ -d "$libraries/node_modules/oauth2-mock-server" ]; then
  NODE_MODULES_AT="$libraries/" node "$here/oauth.mjs" $idp "$home/tokens" >"$home/idp.log" 2>&1 &
  idp_pid=$! issuing=yes
fi
l() { "$postrider" --root "$home/r" "$@"; }
echo secret | l setup --yes --listen 127.0.0.1 --port-base $L --hostname localhost --password-stdin \
  --set auth.hash_memory_kib=1024 --set auth.channel_binding=true --set "auth.client_authorities=$home/ca.pem" \
  --set "oauth.issuer=http://localhost:$idp" --set 'oauth.audiences=["postrider"]' \
  alice@here.test >/dev/null
"$postrider" --root "$home/r" serve >"$home/serve.out" 2>"$home/serve.log" &
l_pid=$!
waits 100 grep -q '^ready' "$home/serve.out" || cat "$home/serve.log"
lca=$home/r/tls/cert.pem
shown=(--cert "$home/alice.pem" --key "$home/alice.key" --cacert "$lca" --user alice@here.test:)
curl_l() { curl -sS "$@"; }
# GNU SASL's own client binds to TLS 1.3 (tls-exporter, RFC 9266).
if command -v gsasl >/dev/null; then
  bound() {
    gsasl -c "--$1" --x509-ca-file="$lca" -m "$2" -a alice@here.test -z alice@here.test -p secret --hostname=localhost localhost "$3" </dev/null
  }
  for mechanism in SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS; do
    check "gsasl imap $mechanism" bound imap $mechanism $((L+143))
    check "gsasl smtp $mechanism" bound smtp $mechanism $((L+587))
  done
fi
check "curl imaps EXTERNAL" curl_l "${shown[@]}" --login-options AUTH=EXTERNAL "imaps://localhost:$((L+993))/"
check "curl pop3s EXTERNAL" curl_l "${shown[@]}" --login-options AUTH=EXTERNAL "pop3s://localhost:$((L+995))/"
check "curl smtps EXTERNAL" curl_l "${shown[@]}" --login-options AUTH=EXTERNAL --mail-from alice@here.test --mail-rcpt alice@here.test -T "$work/m.eml" "smtps://localhost:$((L+465))"
printf 'account default\nhost localhost\nport %s\ntls on\ntls_starttls off\ntls_trust_file %s\ntls_cert_file %s\ntls_key_file %s\nauth external\nuser alice@here.test\nfrom alice@here.test\n' $((L+465)) "$lca" "$home/alice.pem" "$home/alice.key" >"$home/msmtprc"; chmod 600 "$home/msmtprc"
check "msmtp EXTERNAL" msmtp -C "$home/msmtprc" alice@here.test <"$work/m.eml"
if [ $issuing = yes ] && waits 200 test -e "$home/tokens/ready"; then
  token=$(cat "$home/tokens/good")
  bearer=(--cacert "$lca" --user alice@here.test --oauth2-bearer)
  for mechanism in OAUTHBEARER XOAUTH2; do
    options=(--login-options AUTH=$mechanism)
    check "curl imaps $mechanism" curl_l "${bearer[@]}" "$token" "${options[@]}" "imaps://localhost:$((L+993))/"
    check "curl pop3s $mechanism" curl_l "${bearer[@]}" "$token" "${options[@]}" "pop3s://localhost:$((L+995))/"
    check "curl smtps $mechanism" curl_l "${bearer[@]}" "$token" "${options[@]}" --mail-from alice@here.test --mail-rcpt alice@here.test -T "$work/m.eml" "smtps://localhost:$((L+465))"
    for wrong in expired stranger; do
      refused() { curl_l "${bearer[@]}" "$(cat "$home/tokens/$wrong")" "${options[@]}" "$@"; [ $? -eq 67 ]; }
      check "curl imaps $mechanism, $wrong" refused "imaps://localhost:$((L+993))/"
      check "curl smtps $mechanism, $wrong" refused --mail-from alice@here.test --mail-rcpt alice@here.test -T "$work/m.eml" "smtps://localhost:$((L+465))"
    done
  done
  check "imapflow with a token" env NODE_MODULES_AT="$libraries/" node "$here/logins.mjs" $((L+993)) "$home/tokens/good"
  check "python EXTERNAL, XOAUTH2" python3 "$here/logins.py" "$lca" "$home/alice.pem" "$home/alice.key" "$home/tokens/good" $((L+587)) $((L+993)) $((L+995))
  printf 'account default\nhost localhost\nport %s\ntls on\ntls_trust_file %s\nauth oauthbearer\nuser alice@here.test\nfrom alice@here.test\npasswordeval cat %s\n' $((L+587)) "$lca" "$home/tokens/good" >"$home/msmtprc"
  check "msmtp OAUTHBEARER" msmtp -C "$home/msmtprc" alice@here.test <"$work/m.eml"
  grep -qF "$token" "$home/serve.log" && no "no token in the log"
  kill "$idp_pid"; wait "$idp_pid" 2>/dev/null
elif [ $issuing = yes ]; then
  cp "$home/idp.log" "$work/out"; no "the issuer of tokens begins"
  kill "$idp_pid" 2>/dev/null
fi
grep -i panicked "$home/serve.log" && no "no panic in the log of logins"
kill "$l_pid"; wait "$l_pid" 2>/dev/null
