#!/usr/bin/env bash
# Makes root file systems of the machine's own Debian or Ubuntu with clamd,
# freshclam, clamdscan, curl and a shell in them, for an image that stands in for
# clamav/clamav-debian where no registry can be reached, and prints where they are:
#
#   test/clamd/image.sh amd64 arm64
#   amd64=/home/me/.cache/clamav-sidecar/rootfs/amd64-1a2b3c.tar
#   arm64=...
#
# Packages are unpacked, not installed: it needs apt and dpkg-deb, but not root, no
# container engine, and no processor of that architecture. An architecture for
# which apt finds no packages is left out, the machine's own one excepted. Archives
# are kept in the user's cache directory, one for each set of package versions.
set -euo pipefail
umask 022
[ "$#" -gt 0 ] || { echo 'usage: test/clamd/image.sh ARCHITECTURE...' >&2; exit 2; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/clamav-sidecar/rootfs
mkdir -p "$cache"
work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

say() { printf 'test/clamd/image.sh: %s\n' "$*" >&2; }

programs=(clamav-daemon clamav-freshclam clamdscan)
tools=(base-files ca-certificates coreutils curl dash grep libc-bin sed)

# configure points apt at a database of its own, in which nothing is installed,
# and at the machine's package sources.
configure() {
  local arch=$1 dir=$cache/apt-$1
  mkdir -p "$dir/lists/partial" "$dir/archives/partial"
  : >"$work/status"
  export APT_CONFIG=$work/apt-$arch.conf
  cat >"$APT_CONFIG" <<EOF
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Dir::State::lists "$dir/lists";
Dir::State::status "$work/status";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives";
EOF
}

# packages prints what is to be unpacked: the programs, the tools, and the
# libraries that these need. What else ClamAV's packages depend on (debconf, ucf,
# logrotate, adduser and so Perl) only their installation wants.
packages() {
  local libraries
  libraries=$(apt-cache depends --important "${programs[@]}" |
    awk '$1 == "Depends:" && $2 ~ /^(lib|zlib)/ { print $2 }' | sort -u)
  # shellcheck disable=SC2086 # one word per library
  apt-get install -qq --print-uris "${tools[@]}" $libraries |
    awk '{ split($2, name, "_"); print name[1] }' |
    grep -Ex "lib.*|zlib1g|gcc-[0-9]+-base|$(IFS='|'; echo "${tools[*]}")"
  printf '%s\n' "${programs[@]}"
}

# lay_out makes a root file system of the packages in a directory.
lay_out() {
  local root=$1 deb dir
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
  for dir in bin sbin lib lib64; do
    ln -s "usr/$dir" "$root/$dir"
  done
  for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$root" --keep-directory-symlink --no-same-owner --no-same-permissions \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        --exclude='./usr/share/info/*' --exclude='./usr/share/lintian/*' --exclude='./usr/share/bug/*' \
        --exclude='./usr/share/bash-completion/*' --exclude='./usr/lib/systemd/*' --exclude='./lib/systemd/*' \
        --exclude='*/gconv/*' --exclude='./etc/init.d/*' --exclude='./etc/apparmor.d/*' --exclude='./etc/cron*'
  done
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$root"/usr/share/ca-certificates "$root"/etc/clamav
  mkdir -p "$root"/{etc/clamav,tmp,proc,sys,dev,var/lib/clamav,var/log/clamav,run/clamav}
  chmod 1777 "$root/tmp"
  printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'clamav:x:1000:1000::/var/lib/clamav:/bin/sh' >"$root/etc/passwd"
  printf '%s\n' 'root:x:0:' 'clamav:x:1000:' >"$root/etc/group"
  # Without these the programs do nothing, not even print their version.
  printf '%s\n' 'Foreground yes' 'TCPSocket 3310' >"$root/etc/clamav/clamd.conf"
  printf '%s\n' 'DatabaseMirror database.clamav.net' >"$root/etc/clamav/freshclam.conf"
}

# check looks whether all libraries of the programs are there, where the machine
# can run the loader of the root file system.
check() {
  local root=$1 loader program
  loader=$(find "$root"/usr/lib* -name 'ld-linux*.so.*' | head -n 1)
  for program in sbin/clamd bin/freshclam bin/clamdscan bin/curl bin/sh bin/sleep bin/grep bin/sed; do
    if ! "$loader" --library-path "$(echo "$root"/usr/lib/*-linux-gnu*)" --list "$root/usr/$program" >"$work/libraries" 2>&1; then
      say "/usr/$program of the root file system lacks libraries:"
      cat "$work/libraries" >&2
      exit 1
    fi
  done
}

# archive writes the root file system as root would own it, but for what clamd
# and freshclam write to.
archive() {
  local root=$1 tar=(tar --format=gnu --sort=name --mtime=@0 --numeric-owner)
  "${tar[@]}" --owner=0 --group=0 -C "$root" -cf "$work/root.tar" \
    --exclude=./var/lib/clamav --exclude=./var/log/clamav --exclude=./run/clamav .
  "${tar[@]}" --owner=1000 --group=1000 -C "$root" -rf "$work/root.tar" ./var/lib/clamav ./var/log/clamav ./run/clamav
}

# root_file_system prints ARCH=ARCHIVE, and makes the archive if it is not there.
root_file_system() {
  local arch=$1 list key target
  configure "$arch"
  apt-get update -qq >&2 || say "apt could not update its lists for $arch, going on with those from before"
  # shellcheck disable=SC2086 # one word per package, here and below
  if ! list=$(packages) || ! apt-get download -qq --print-uris $list >"$work/uris"; then
    if [ "$arch" = "$(dpkg --print-architecture)" ]; then
      say 'apt finds no packages; it has said why'
      exit 1
    fi
    say "apt finds no packages for $arch, so there is no image for it"
    return
  fi
  key=$({ awk '{ print $2 }' "$work/uris"; cat "$0"; } | cksum | cut -d' ' -f1)
  target=$cache/$arch-$key.tar
  if [ ! -f "$target" ]; then
    say "making the root file system for $arch of $(wc -l <"$work/uris") packages ..."
    rm -rf "$work/debs" "$work/root"
    mkdir "$work/debs"
    # shellcheck disable=SC2086
    (cd "$work/debs" && apt-get download -qq $list >&2)
    lay_out "$work/root"
    if [ "$arch" = "$(dpkg --print-architecture)" ]; then
      check "$work/root"
    fi
    archive "$work/root"
    rm -f "$cache/$arch"-*.tar # of other versions
    mv "$work/root.tar" "$target"
  fi
  echo "$arch=$target"
}

for arch in "$@"; do
  root_file_system "$arch"
done
