# Hirsel. The commands: make run, make check; also make, deps, bench, install, clean, format, lint.
# Each folder says in its build.mk what it adds; everything is built under build/.
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.DEFAULT_GOAL := all

B := build
CC := $(if $(filter default undefined,$(origin CC)),cc,$(CC))
CSTD := -std=c17 -D_GNU_SOURCE
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
OPT ?= -O2 -g
# Everything made in this run may be made with other flags into another tree:
#   make B=build/asan SANITIZE="-fsanitize=address,undefined"
SANITIZE ?=
CPPFLAGS += -I. -I$(B)/include
CFLAGS += $(CSTD) $(WARN) $(OPT) -fPIE $(SANITIZE)
LDFLAGS += -pie $(SANITIZE)

# What a folder adds to: PROGRAMS (targets of `all`), TESTS_UNIT, TESTS_FUZZ, BENCHES.
PROGRAMS :=
TESTS_UNIT :=
TESTS_FUZZ :=
BENCHES :=

# The libraries first: what is in a list of prerequisites must be set before. The tests last.
PARTS_FIRST := libmsg/build.mk servers/lib/build.mk
include $(PARTS_FIRST)
include $(filter-out $(PARTS_FIRST) tests/build.mk,$(sort $(wildcard */build.mk */*/build.mk)))
include tests/build.mk

.PHONY: all
all: $(PROGRAMS)

$(B)/obj/%.o: %.c | $(B)/include/.protos
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell [ -d $(B)/obj ] && find $(B)/obj -name '*.d')

JOBS ?= $(shell nproc)
BUILD := $(MAKE) -s --no-print-directory -j$(JOBS) B=$(B)

# The Debian packages of deps.txt that are missing.
.PHONY: deps
deps:
	@.ci/deps

# A session with the user's shell; without a terminal the tour of README.md.
.PHONY: run
run: deps
	@$(BUILD) all
	@if [ -t 0 ] && [ -t 1 ]; then \
	    echo 'A session of Hirsel; leave it with exit. Try: hirsel settrans -c greet hello && cat greet'; \
	    PATH="$(abspath $(B))/bin:$$PATH" exec $(B)/bin/hirsel run -- "$${SHELL:-/bin/bash}"; \
	else \
	    tests/tour $(B); \
	fi

# All tests, in less than ten minutes on two cores; run by root they run as nobody.
# TESTS="pattern …" runs those only whose names match.
.PHONY: check check-long
check: deps
	@$(BUILD) all tests-unit tests-fuzz benches
	@$(BUILD) B=$(B)/asan OPT="-O1 -g" SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined" all tests-unit
	@tests/run --build $(B) $(TESTS)

check-long: deps
	@.ci/deps binutils-source
	@$(BUILD) all tests-unit tests-fuzz benches
	@$(BUILD) B=$(B)/asan OPT="-O1 -g" SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined" all tests-unit
	@tests/run --long --build $(B) $(TESTS)

.PHONY: bench
bench: deps
	@$(BUILD) all benches
	@tests/bench/run --build $(B)

PREFIX ?= /usr/local
INSTALLED = $(filter $(B)/bin/% $(B)/libexec/% $(B)/lib/hirsel/%,$(PROGRAMS))
MANUAL := $(wildcard docs/man/*.[1-9])

.PHONY: install
install: all
	@for file in $(INSTALLED:$(B)/%=%); do \
	    install -D -m 755 "$(B)/$$file" "$(DESTDIR)$(PREFIX)/$$file" || exit 1; \
	done
	@for page in $(MANUAL); do \
	    install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}" || exit 1; \
	done

C_FILES := $(filter-out build/%,$(wildcard */*.[ch] */*/*.[ch] */*/*/*.[ch]))

.PHONY: format lint
format:
	clang-format -i $(C_FILES)
lint:
	clang-format --dry-run -Werror $(C_FILES)

.PHONY: clean
clean:
	rm -rf build
