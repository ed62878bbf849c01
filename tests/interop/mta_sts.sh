# Sourced by run.sh: MTA-STS with a web server, BIND and Postfix at their own ports, in a network of
# their own. Their certificates are signed by an authority of ours.
if [ "$(id -u)" -eq 0 ] && command -v postfix >/dev/null && command -v named >/dev/null && unshare -n true 2>/dev/null; then
  sts=$work/sts
  mkdir -p "$sts"; chmod 755 "$sts"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "$sts/ca.key" -out "$sts/ca.pem" 2>/dev/null
  for name in mta-sts mx other; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name -keyout "$sts/$name.key" 2>/dev/null |
      openssl x509 -req -days 2 -CA "$sts/ca.pem" -CAkey "$sts/ca.key" -CAcreateserial -extfile <(echo "subjectAltName=DNS:$name.example.net") -out "$sts/$name.pem" 2>/dev/null
  done
  postfix_at "$sts/postfix" "$sts/pf" 127.0.0.10:25 <<CF
myhostname = mx.example.net
mydestination =
virtual_mailbox_domains = example.net
mynetworks =
smtpd_tls_security_level = may
smtpd_tls_cert_file = $sts/smtpd.pem
smtpd_tls_key_file = $sts/smtpd.key
smtpd_tls_received_header = yes
CF
  check "MTA-STS: a web server's policy, and Postfix with the right and the wrong certificate" \
    unshare -n sh -c "ip link set lo up && ip address add 127.0.0.53/8 dev lo && exec python3 $here/mta_sts.py $postrider $sts"
fi
