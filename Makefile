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

# tests/build.mk is last: it uses what the others set.
include $(filter-out tests/build.mk,$(sort $(wildcard */build.mk */*/build.mk)))
include tests/build.mk

.PHONY: all
all: $(PROGRAMS)

$(B)/obj/%.o: %.c | $(B)/include/.protos
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell [ -d $(B)/obj ] && find $(B)/obj -name '*.d')

.PHONY: clean
clean:
	rm -rf build
