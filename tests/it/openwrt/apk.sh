#!/bin/sh
# Stands for apk in the tests of pack-apk: the folder $TOLD gets what `apk mkpkg` is told, and
# copies of the files and scripts that it would pack. APK_VERSION is what it says of itself.
set -eu
if [ "$1" = --version ]; then
    echo "apk-tools $APK_VERSION, compiled for tests."
    exit
fi
printf '%s\n' "$@" >"$TOLD/words"
echo "$SOURCE_DATE_EPOCH" >"$TOLD/date"
before=
for word; do
    case $before in
    --files) cp -a "$word" "$TOLD/files" ;;
    --script) cp "${word#*:}" "$TOLD/${word%%:*}" ;;
    --output) echo package >"$word" ;;
    esac
    before=$word
done
