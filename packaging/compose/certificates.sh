#!/bin/sh
# Makes an authority and a certificate of it for the SuperLink of compose.tls.yml, in FOLDER:
#
#   certificates.sh FOLDER [NAME|ADDRESS...]   what else it is called, beside superlink and 127.0.0.1
#
# ca.crt is for whoever connects. server.key is what the container's user has to read, who is nobody
# on this machine: so the folder is closed to all others, not the file.
set -eu
folder=${1:?name the folder}
shift
names=DNS:superlink,DNS:localhost,IP:127.0.0.1
for name; do
    case $name in
        *:*|*[0-9].[0-9]*.[0-9]*.[0-9]*) names=$names,IP:$name ;;
        *) names=$names,DNS:$name ;;
    esac
done
if [ -e "$folder/ca.key" ]; then
    echo "$folder has certificates already: remove it to make others" >&2
    exit 1
fi
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
umask 077
openssl req -x509 $key -keyout ca.key -out ca.crt -days 3650 -subj "/CN=flower-v6" \
    -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
openssl req $key -keyout server.key -out server.csr -subj "/CN=superlink" 2>/dev/null
printf '%s\n' "subjectAltName=$names" extendedKeyUsage=serverAuth basicConstraints=CA:FALSE >server.ext
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -out server.crt -days 825 \
    -extfile server.ext 2>/dev/null
rm server.csr server.ext
chmod 644 ca.crt server.crt server.key
