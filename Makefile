# anklet's tasks, one cargo call each. ARGS are anklet's own options: make run ARGS='-p 1081 -v'

CARGO ?= cargo
PREFIX ?= /usr/local
ARGS ?=

# build the program: target/release/anklet
all:
	$(CARGO) build --release

# serve on port 1080 until Ctrl-C
run: all
	target/release/anklet $(ARGS)

# every test: units, simulation, real sockets, real clients where they are installed
test:
	$(CARGO) test

# LuCI's pages under node, and in Chromium where it is installed: tests/luci/README.md
luci-test:
	$(CARGO) build
	cd tests/luci && { npm ci --silent --ignore-scripts || echo 'npm ci has failed'; } && node --test

# what every commit has to pass: format, lints, tests
check: lint test

# format and lints alone
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

# the simulation alone, over as many seeds as you have patience for: make sim SEEDS=10000
sim: export ANKLET_SIM_SEEDS = $(SEEDS)
sim: SEEDS ?= 4096
sim:
	$(CARGO) test --release --test sim

# a fuzzer looks for inputs that break a target, each for so long: make fuzz SECONDS=600
fuzz: SECONDS ?= 60
fuzz:
	tests/fuzz/run $(SECONDS) $(TARGETS)

# all protocols mixed for so long, every byte compared, and nothing left: make soak MINUTES=60
soak: MINUTES ?= 5
soak: all
	ANKLET_BINARY=target/release/anklet ANKLET_SOAK_MINUTES=$(MINUTES) \
		$(CARGO) test --test it soak::hours -- --ignored --nocapture

# what a distant client notices while others do their worst: five minutes of a quiet machine
attacks: all
	ANKLET_BINARY=target/release/anklet \
		$(CARGO) test --test it distant:: -- --ignored --nocapture --test-threads=1

# anklet beside the other proxies of this machine, two minutes: tests/bench/README.md. All of it:
# make bench ROWS=all ROUNDS=5 TIME=2
bench: export ANKLET_BENCH_ROWS = $(ROWS)
bench: export ANKLET_BENCH_ROUNDS = $(ROUNDS)
bench: export ANKLET_BENCH_SECONDS = $(TIME)
bench:
	$(CARGO) test --release --test bench -- --ignored --nocapture bench

# system calls and instructions of a connection, a MiB and a datagram, by strace and callgrind
bench-cost: all
	ANKLET_BINARY=target/release/anklet \
		$(CARGO) test --test bench -- --ignored --nocapture costs

# every call of the simulation and every system call of the program fails, each in a run of its own
faults: export ANKLET_SIM_FAULTS = $(SEEDS)
faults: SEEDS ?= 8
faults:
	$(CARGO) test --release --test sim any_call -- --nocapture
	$(CARGO) test --release --test it faults -- --ignored --nocapture

# bytes of the routers' binaries that are built, beside the last recorded ones; RECORD=1 records
size:
	@cross/check-size

# cross/man/anklet.8 and anklet.bash, after a change of the options or of their templates there
man: export ANKLET_MAN = write
man:
	$(CARGO) test --quiet --lib has_the_options_of_help

# copy the program, its manual and the completion of bash to below PREFIX
install: all
	install -D -m 755 target/release/anklet $(DESTDIR)$(PREFIX)/bin/anklet
	install -D -m 644 cross/man/anklet.8 $(DESTDIR)$(PREFIX)/share/man/man8/anklet.8
	install -D -m 644 cross/man/anklet.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/anklet

# forget everything that was built
clean:
	$(CARGO) clean

include cross/targets.mk
include cross/release.mk

.PHONY: all run test luci-test check lint sim faults fuzz soak attacks bench bench-cost size man install clean
