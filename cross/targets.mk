# Binaries for routers. Included by the Makefile at the top; cross/BUILDING.md says which router
# wants which, and release.mk what is made of them. Everything lands in target/router, target/cross.
#
#   make router-TRIPLE            build directly: zig links, Debian's compiler brings std's sources
#   make routers                  all of them, and their sizes
#   make cross TARGET=TRIPLE      build in a container, through `cross`
#   make smoke-TRIPLE             run it on its oldest processor, emulated: options, tunnels, UDP
#   make qemu-test-TRIPLE         the same with all integration tests
#   make vm-test VM=mipsel        a whole router in QEMU (also armhf, arm64)

# Each triple, and its oldest processor in qemu-user.
TRIPLES := \
    mips-unknown-linux-musl \
    mipsel-unknown-linux-musl \
    armv7-unknown-linux-musleabihf \
    armv6k-unknown-linux-musleabi \
    armv5te-unknown-linux-musleabi \
    aarch64-unknown-linux-musl \
    x86_64-unknown-linux-musl

RUNNER_mips-unknown-linux-musl        := qemu-mips-static -cpu 24Kc
RUNNER_mipsel-unknown-linux-musl      := qemu-mipsel-static -cpu 24KEc
RUNNER_armv7-unknown-linux-musleabihf := qemu-arm-static -cpu cortex-a7
RUNNER_armv6k-unknown-linux-musleabi  := qemu-arm-static -cpu arm1176
RUNNER_armv5te-unknown-linux-musleabi := qemu-arm-static -cpu arm926
RUNNER_aarch64-unknown-linux-musl     := qemu-aarch64-static -cpu cortex-a53
RUNNER_x86_64-unknown-linux-musl      :=

# rustc's own ARMv6 targets take no Thumb code: LLVM's "arm" is older than Thumb, and they are not
# told that the two instruction sets may be mixed. This one is, and otherwise like armv5te's.
SPEC_armv6k-unknown-linux-musleabi := cross/armv6k-unknown-linux-musleabi.json

# OpenWrt's package architectures.
TRIPLE_mips_24kc                     := mips-unknown-linux-musl
TRIPLE_mipsel_24kc                   := mipsel-unknown-linux-musl
TRIPLE_mipsel_74kc                   := mipsel-unknown-linux-musl
TRIPLE_arm_cortex-a5_vfpv4           := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a7                 := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a7_neon-vfpv4      := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a7_vfpv4           := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a8_vfpv3           := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a9                 := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a9_neon            := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a9_vfpv3-d16       := armv7-unknown-linux-musleabihf
TRIPLE_arm_cortex-a15_neon-vfpv4     := armv7-unknown-linux-musleabihf
TRIPLE_arm_arm1176jzf-s_vfp          := armv6k-unknown-linux-musleabi
TRIPLE_arm_arm926ej-s                := armv5te-unknown-linux-musleabi
TRIPLE_arm_xscale                    := armv5te-unknown-linux-musleabi
TRIPLE_aarch64_generic               := aarch64-unknown-linux-musl
TRIPLE_aarch64_cortex-a53            := aarch64-unknown-linux-musl
TRIPLE_aarch64_cortex-a72            := aarch64-unknown-linux-musl
TRIPLE_aarch64_cortex-a76            := aarch64-unknown-linux-musl
TRIPLE_x86_64                        := x86_64-unknown-linux-musl
IPK_ARCHS := $(sort $(patsubst TRIPLE_%,%,$(filter TRIPLE_%,$(.VARIABLES))))

# The compiler whose std sources are installed: Debian's packages, or name another one.
ROUTER_RUSTC ?= /usr/bin/rustc
ROUTER_CARGO ?= /usr/bin/cargo
ZIG := target/tools/bin/python-zig
ROUTER_ENV := env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET -u CARGO_TARGET_DIR \
    RUSTC=$(ROUTER_RUSTC) RUSTC_BOOTSTRAP=1 PATH="$(CURDIR)/target/tools/bin:$$PATH"
ROUTER_FLAGS := --config cross/router.toml --release --bin anklet

# Cargo does not know what the linker consists of: where a part of it is newer than the program in
# the folder $(1), the program is linked again.
forget-linked = for file in cross/zig-linker cross/sections.ld cross/tools.txt; do \
    [ $(1)/anklet -nt $$file ] || rm -f $(1)/deps/anklet-*; done

# zig, of the version that cross/Dockerfile has too
$(ZIG): cross/tools.txt
	python3 -m venv target/tools
	target/tools/bin/pip install --quiet --disable-pip-version-check -r cross/tools.txt
	touch $@

ROUTERS := $(addprefix router-,$(TRIPLES))
routers: $(ROUTERS) size
$(ROUTERS): router-%: $(ZIG)
	@cross/check-tools $(ROUTER_RUSTC) $(ROUTER_CARGO)
	@$(call forget-linked,target/router/$*/release)
	$(ROUTER_ENV) $(ROUTER_CARGO) build $(ROUTER_FLAGS) --target $(or $(SPEC_$*),$*) --target-dir target/router
	cross/check-elf $* target/router/$*/release/anklet
	cross/check-size $* target/router/$*/release/anklet

EMULATED = ANKLET_BINARY="$(abspath target/router/$*/release/anklet)" ANKLET_RUNNER="$(RUNNER_$*)" \
    $(CARGO) test

# What a target needs beside a compiler is told before anything is built for it.
RUNNERS := $(addprefix runner-,$(TRIPLES))
$(RUNNERS): runner-%:
	@[ -z "$(RUNNER_$*)" ] || command -v $(firstword $(RUNNER_$*)) >/dev/null || { \
	    echo '$(firstword $(RUNNER_$*)) is not installed: on Debian, apt-get install qemu-user-static' >&2; exit 1; }

SMOKES := $(addprefix smoke-,$(TRIPLES))
$(SMOKES): smoke-%: runner-% router-%
	$(EMULATED) --test it -- cli:: relay:: udp::

QEMU_TESTS := $(addprefix qemu-test-,$(TRIPLES))
$(QEMU_TESTS): qemu-test-%: runner-% router-%
	$(EMULATED) --test it

# The same in a container: needs cross and docker or podman.
TARGET ?= mipsel-unknown-linux-musl
cross:
	@$(call forget-linked,target/cross/$(TARGET)/release)
	env -u RUSTC -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS PATH="$(CURDIR)/cross/shim:$$PATH" \
	    CROSS_CONFIG=cross/Cross.toml CROSS_CUSTOM_TOOLCHAIN=1 RUSTC_BOOTSTRAP=1 \
	    CARGO_UNSTABLE_JSON_TARGET_SPEC=true \
	    cross build $(ROUTER_FLAGS) --locked --target $(or $(SPEC_$(TARGET)),$(TARGET)) --target-dir target/cross
	cross/check-elf $(TARGET) target/cross/$(TARGET)/release/anklet
	cross/check-size $(TARGET) target/cross/$(TARGET)/release/anklet

VM ?= mipsel
VM_TRIPLE_mipsel := mipsel-unknown-linux-musl
VM_TRIPLE_armhf  := armv7-unknown-linux-musleabihf
VM_TRIPLE_arm64  := aarch64-unknown-linux-musl
vm-needs:
	@cross/vm/vm-test $(VM)
vm-test: vm-needs router-$(VM_TRIPLE_$(VM))
	cross/vm/vm-test $(VM) target/router/$(VM_TRIPLE_$(VM))/release/anklet

.PHONY: routers $(ROUTERS) $(SMOKES) $(QEMU_TESTS) $(RUNNERS) cross vm-needs vm-test
