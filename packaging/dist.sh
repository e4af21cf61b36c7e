#!/usr/bin/env bash
# Makes everything that a release consists of, in target/dist:
#   packaging/dist.sh --key ~/.minisign/minisign.key
# For each target an archive with the static binary, its man pages and completions of shells; a Debian package; the list
# of all parts (SBOM, CycloneDX); the checksums of these files; and their signature.
#
#   --key FILE       the secret key of minisign that signs the checksums
#   --unsigned       no signature: for a trial
#   --target TARGET  build for this target; repeats [default: x86_64-unknown-linux-musl]
#   --without PART   leave out `deb` or `sbom`; repeats
#   --binary FILE    pack this binary instead of building one for the target
#   --out DIR        where the files go [default: target/dist]
#
# The same commit, built by the same compiler, gives the same archives, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."

key='' unsigned='' binary='' out=target/dist targets=() without=' '
usage() { echo "$1: see the head of packaging/dist.sh" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --unsigned) unsigned=yes; shift; continue ;;
    esac
    [ $# -ge 2 ] || usage "\`$1\` needs a value, or is unknown"
    case $1 in
    --key) key=$2 ;;
    --target) targets+=("$2") ;;
    --without) without+="$2 " ;;
    --binary) binary=$2 ;;
    --out) out=$2 ;;
    *) usage "\`$1\` is unknown" ;;
    esac
    shift 2
done
[ ${#targets[@]} -gt 0 ] || targets=(x86_64-unknown-linux-musl)
[ -z "$binary" ] || [ ${#targets[@]} = 1 ] || usage "--binary goes with one --target"
with() { [[ $without != *" $1 "* ]]; }

# All that is missing is told at once, before anything is built.
missing=()
needs() { command -v "$1" >/dev/null || missing+=("$1: $2"); }
if [ -z "$unsigned" ]; then
    [ -n "$key" ] || usage "give --key FILE, or --unsigned"
    [ -r "$key" ] || { echo "the key $key cannot be read" >&2; exit 1; }
    needs minisign "the package minisign of Debian"
fi
if with deb; then needs cargo-deb "cargo install cargo-deb --locked"; fi
if with sbom; then needs cargo-cyclonedx "cargo install cargo-cyclonedx --locked"; fi
if [ -z "$binary" ]; then
    needs make "the package make of Debian"
    installed=$(rustup target list --installed 2>/dev/null || true)
    for target in "${targets[@]}"; do
        case $target in x86_64-*-musl) needs musl-gcc "the package musl-tools of Debian" ;; esac
        [ -z "$installed" ] || grep -qx "$target" <<<"$installed" || missing+=("$target: rustup target add $target")
    done
fi
if [ ${#missing[@]} -gt 0 ]; then
    printf 'missing: %s\n' "${missing[@]}" >&2
    exit 1
fi

# The date in each archive is that of the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
rm -rf "$out"
mkdir -p "$out"
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

# Builds the program for a target, unless one was given, and says where it is. No path of this machine gets into it.
build() {
    if [ -z "$binary" ]; then
        RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/reconcile" \
        cargo build --release --locked --features jemalloc --bin reconcile --target "$1" >&2
        echo "target/$1/release/reconcile"
    else
        echo "$binary"
    fi
}

# Man pages and completions are written by the program: by the first one that runs on this machine.
pages() {
    local program=$1 shell
    mkdir -p "$staging/pages/completions"
    "$program" man --quiet "$staging/pages/man"
    for shell in bash zsh fish powershell; do
        "$program" completion "$shell" >"$staging/pages/completions/reconcile.$shell"
    done
}

# An archive that depends on its content alone: no times, owners or order of this machine.
archive() {
    local target=$1 program=$2 name="reconcile-$version-$1"
    local folder="$staging/$name"
    mkdir -p "$folder"
    install -m 755 "$program" "$folder/reconcile"
    install -m 644 README.md LICENSE-APACHE LICENSE-MIT "$folder"
    cp -r "$staging/pages/." "$folder"
    tar --create --directory "$staging" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode=u+rw,go+r-w,a+X "$name" | gzip --no-name -9 >"$out/$name.tar.gz"
    echo "$out/$name.tar.gz"
}

programs=()
for target in "${targets[@]}"; do
    programs+=("$(build "$target")")
done
for program in "${programs[@]}"; do
    if "$program" version >/dev/null 2>&1; then pages "$program"; break; fi
done
[ -d "$staging/pages" ] || { echo "none of the binaries runs on this machine: man pages and completions cannot be written" >&2; exit 1; }
for index in "${!targets[@]}"; do
    archive "${targets[$index]}" "${programs[$index]}"
done

if with deb; then
    # Where `Cargo.toml` looks for the files of the package.
    rm -rf target/package-files
    mkdir -p target/package-files
    cp -r "$staging/pages/." target/package-files
    for index in "${!targets[@]}"; do
        install -m 755 "${programs[$index]}" target/package-files/reconcile
        cargo deb --quiet --no-build --no-strip --locked --target "${targets[$index]}" --output "$out/"
    done
fi

if with sbom; then
    # The parts do not depend on the target: the program's `cfg`s are the same on all of them.
    cargo cyclonedx --quiet --features jemalloc --format json --spec-version 1.5 --override-filename "reconcile-sbom"
    # The tool writes where the sources lay.
    sed "s|path+file://$PWD|path+file:///reconcile|g" reconcile-sbom.json >"$out/reconcile-$version.cdx.json"
    rm reconcile-sbom.json
    rm -f crates/*/reconcile-sbom.json
fi

(cd "$out" && sha256sum -- *) >"$staging/SHA256SUMS"
mv "$staging/SHA256SUMS" "$out/SHA256SUMS"
if [ -z "$unsigned" ]; then
    minisign -S -s "$key" -m "$out/SHA256SUMS" -t "reconcile $version, commit $commit" >/dev/null
fi
ls -l "$out"
