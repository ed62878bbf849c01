#!/usr/bin/env bash
# Real DNS with DNSSEC: a root of its own, signed zones below, one that is not, one whose signatures
# are wrong and one whose have expired, served by BIND on 127.0.0.1; at the next port the same without
# any signature.
# Usage: zones.sh FOLDER PORT-OF-BIND ADDRESS-OF-MAIL PORT-OF-MAIL FILE-WITH-TLSA-DATA
# Writes FOLDER/anchors (the root's DNSKEY), FOLDER/signed.pid and FOLDER/unsigned.pid.
set -euo pipefail
at=$1 bind=$2 mail=$3 port=$4 fits=$(cat "$5")
other=$(printf '0%.0s' $(seq 64))
mkdir -p "$at/keys" "$at/cache"
cd "$at"

head_of() { printf '$TTL 300\n@ IN SOA ns.test. admin.test. 1 3600 600 86400 300\n@ IN NS ns.test.\n'; }
# Names as all mail domains have them: a server known by TLSA records, and aliases.
mail_zone() {
  head_of
  cat <<ZONE
@ MX 10 mx
mx A $mail
_$port._tcp.mx TLSA 3 1 1 $fits
wrong MX 10 mxwrong
mxwrong A $mail
_$port._tcp.mxwrong TLSA 3 1 1 $other
none MX 10 mxnone
mxnone A $mail
alias MX 10 mxalias
mxalias CNAME mx
mxalias2 CNAME mx.plain.test.
aliasplain MX 10 mxalias2
_$port._tcp.mxalias2 TLSA 3 1 1 $fits
shared MX 10 mxshared
mxshared A $mail
_$port._tcp.mxshared CNAME _dane
_dane TLSA 3 1 1 $fits
renamed CNAME @
unusable MX 10 mxunusable
mxunusable A $mail
_$port._tcp.mxunusable TLSA 1 1 1 $other
crossed MX 10 mx.plain.test.
*.wild MX 10 mx
*.any A $mail
deep.any TXT "x"
self A $mail
_$port._tcp.self TLSA 3 1 1 $fits
odd MX 10 mx.odd
mx.odd A $mail
_$port._tcp.mx.odd TLSA 3 1 2 $fits$other
_$port._tcp.mx.odd TLSA 3 1 1 $fits
ZONE
}
sign() { # zone, options of dnssec-signzone
  local zone=$1; shift
  local ksk zsk
  ksk=$(dnssec-keygen -q -K keys -a ECDSAP256SHA256 -f KSK "$zone")
  zsk=$(dnssec-keygen -q -K keys -a ECDSAP256SHA256 "$zone")
  dnssec-signzone -q -K keys -S -o "$zone" -f "$zone.signed" "$@" "zone.$zone" >/dev/null
  mv "dsset-$zone." "ds.$zone" 2>/dev/null || mv "dsset-${zone%.}." "ds.$zone" 2>/dev/null || true
  : "$ksk" "$zsk"
}

zones=(secure.test nsec3.test bogus.test old.test)
for zone in "${zones[@]}" plain.test; do mail_zone >"zone.$zone"; done
sed -i 's/^mx A.*/&\nmx2 A 127.0.0.1/' zone.plain.test
sign secure.test
sign nsec3.test -3 -
sign bogus.test
sign old.test -P -s 20200101000000 -e 20200201000000
cp zone.plain.test plain.test.signed
# Somebody changes what was signed.
sed -i "s/^\(mx\(wrong\)\?\.bogus\.test\.\)\(.*\)A\t*[ \t]$mail/\1\3A 127.0.0.2/" bogus.test.signed
{ head_of; echo "ns A 127.0.0.1"; for zone in "${zones[@]}" plain.test; do echo "$zone. NS ns.test."; done; cat ds.*; } >zone.test
sign test -3 - -A
{ printf '$TTL 300\n. IN SOA ns.test. admin.test. 1 3600 600 86400 300\n. IN NS ns.test.\ntest. NS ns.test.\nns.test. A 127.0.0.1\n'; cat ds.test; } >zone..
sign .
grep -h 'DNSKEY 257' keys/K.+*.key >anchors

serve() { # name, port, how the files of zones end
  cat >"$1.conf" <<CONF
options {
  directory "$at/cache"; pid-file "$at/$1.pid"; session-keyfile "$at/cache/$1.key";
  listen-on port $2 { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; check-names primary ignore;
};
controls { };
CONF
  local zone
  for zone in . test "${zones[@]}" plain.test; do
    echo "zone \"$zone\" { type primary; file \"$at/$zone.$3\"; };" >>"$1.conf"
  done
  named -c "$at/$1.conf" -g >"$1.log" 2>&1 &
}
for zone in . test "${zones[@]}" plain.test; do cp "zone.$zone" "$zone.unsigned"; done
serve signed "$bind" signed
serve unsigned $((bind + 1)) unsigned
