# What is handed out, made of the routers' binaries. Included by the Makefile at the top.
#
#   make release                  everything below for every architecture, in target/dist
#   make reproduce-TRIPLE         build and pack it again in another folder: the same bytes?
#   make licences                 target/LICENSES, the texts for what is linked in
#   make ipk IPK_ARCH=mips_24kc   an OpenWrt package (24.10 and older), and that of LuCI's pages
#   make apk IPK_ARCH=mips_24kc   the same for OpenWrt 25.12 and later
#   make deb DEB_ARCH=amd64       a Debian package, with its service (also arm64, armhf)
#   make image IMAGE_ARCH=amd64   a container image from scratch (also arm64, arm-v7)
#
# Packages of apk are made by apk v3: APK=/path/to/apk where it is not installed; APK=none leaves
# them out of a release. USIGN_KEY and APK_KEY, files with secret keys, sign the indexes of
# OpenWrt's package managers and SHA256SUMS. ANKLET_URL is where the packages say that the project
# is at home, and where the feed's recipe finds its sources; without it that is the repository of
# Cargo.toml, a name that nobody can have, and the release says so.

# Cargo's version and the packaging's own.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)-r$(PKG_RELEASE)
PKG_RELEASE ?= 1

export LICENCES = $(CURDIR)/target/LICENSES

TRIPLE_DEB_amd64 := x86_64-unknown-linux-musl
TRIPLE_DEB_arm64 := aarch64-unknown-linux-musl
TRIPLE_DEB_armhf := armv7-unknown-linux-musleabihf

TRIPLE_IMAGE_amd64  := x86_64-unknown-linux-musl
TRIPLE_IMAGE_arm64  := aarch64-unknown-linux-musl
TRIPLE_IMAGE_arm-v7 := armv7-unknown-linux-musleabihf

DEB_ARCHS := amd64 arm64 armhf
IMAGE_ARCHS := amd64 arm64 arm-v7
DEB_ARCH ?= amd64
IMAGE_ARCH ?= amd64

licences: $(ZIG)
	@cross/check-tools $(ROUTER_RUSTC) $(ROUTER_CARGO)
	@cross/licences $(ROUTER_RUSTC) $(ROUTER_CARGO) "$$(target/tools/bin/python -c \
	    'import ziglang; print(ziglang.__path__[0])')" > $(LICENCES).new
	@mv $(LICENCES).new $(LICENCES)

apk: has-apk
ipk apk: router-$(TRIPLE_$(IPK_ARCH)) licences
ipk apk:
	cross/openwrt/pack-$@ target/router/$(TRIPLE_$(IPK_ARCH))/release/anklet $(IPK_ARCH) $(VERSION) target/packages
	cross/openwrt/pack-luci $@ $(VERSION) target/packages

deb: router-$(TRIPLE_DEB_$(DEB_ARCH)) licences
	cross/deb/pack-deb target/router/$(TRIPLE_DEB_$(DEB_ARCH))/release/anklet $(DEB_ARCH) $(VERSION) target/packages

image: router-$(TRIPLE_IMAGE_$(IMAGE_ARCH)) licences
	cross/image/pack-image target/router/$(TRIPLE_IMAGE_$(IMAGE_ARCH))/release/anklet $(IMAGE_ARCH) $(VERSION) target/packages

# With an architecture or a machine that has no binary here, or without one.
router-:
	@echo 'VM is mipsel, armhf or arm64. DEB_ARCH is one of: $(DEB_ARCHS)' >&2
	@echo 'IMAGE_ARCH is one of: $(IMAGE_ARCHS)' >&2
	@echo 'IPK_ARCH is one of: $(IPK_ARCHS)' >&2; exit 2

release: can-pack-apk $(ROUTERS) licences
	cross/pack-release target/dist $(VERSION) $(TRIPLES) \
	    -- $(foreach arch,$(IPK_ARCHS),$(arch):$(TRIPLE_$(arch))) \
	    -- $(foreach arch,$(DEB_ARCHS),$(arch):$(TRIPLE_DEB_$(arch))) \
	    -- $(foreach arch,$(IMAGE_ARCHS),$(arch):$(TRIPLE_IMAGE_$(arch)))

# Told before anything is built.
has-apk:
	@cross/openwrt/pack-apk --check

can-pack-apk:
	@[ '$(APK)' = none ] || cross/openwrt/pack-apk --check

REPRODUCED := $(addprefix reproduce-,$(TRIPLES))
$(REPRODUCED): reproduce-%: router-% licences
	cross/reproduce $* $(VERSION)

.PHONY: licences ipk apk deb image release has-apk can-pack-apk router- $(REPRODUCED)
