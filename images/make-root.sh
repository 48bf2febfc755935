#!/bin/sh
# make-root IMAGE PROGRAM: puts into /roots/IMAGE all that PROGRAM needs to run on nothing but a kernel. Libtorch has a layer of its own.
set -eu
root=/roots/$1
program=/programs/$2

# Names of functions stay, for traces of a crash; the lines go.
strip --strip-debug "$program"
strip --strip-debug /programs/meshctl
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/tmp" "$root/var/lib/dpkg/status.d"
chmod 1777 "$root/tmp"
cp "$program" "$root/usr/local/bin/"

# The loader, and the libraries of Debian that the program or libtorch names.
libraries="libc.so.6 libm.so.6 libgcc_s.so.1 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libnss_dns.so.2 libnss_files.so.2"
packages="libc6 libgcc-s1 ca-certificates"
if [ "$1" = worker ]; then
  libraries="$libraries libstdc++.so.6"
  packages="$packages libstdc++6"
fi
for library in $libraries; do
  found=$(ldconfig -p | awk -v name="$library" '$1 == name { print $NF; exit }')
  mkdir -p "$root$(dirname "$found")"
  cp -L "$found" "$root$found"
done
loader=$(ldconfig -p | awk '$1 ~ /^ld-linux/ { print $NF; exit }')
mkdir -p "$root/lib64"
cp -L "$loader" "$root/lib64/"

# Whose packages they are: scanners look here for what is known to be vulnerable.
for package in $packages; do
  dpkg-query --status "$package" > "$root/var/lib/dpkg/status.d/$package"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
echo 'torchmesh:x:65532:65532:torchmesh:/tmp:/sbin/nologin' > "$root/etc/passwd"
echo 'torchmesh:x:65532:' > "$root/etc/group"

# Their times are the commit's: the same sources make the same image.
find "$root" "$program" /programs/meshctl -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-0}" {} +
