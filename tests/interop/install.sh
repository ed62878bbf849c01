#!/usr/bin/env bash
# Installs the programs that tests/interop/run.sh drives. Debian; as root or with sudo.
set -euo pipefail
needed=(curl openssl swaks isync mutt fetchmail postfix python3 libio-socket-ssl-perl libnet-ssleay-perl)
missing=()
for package in "${needed[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=(); [ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
