# Tests: a file is a program. tests/unit/NAME.c uses Check, tests/fuzz/NAME.c is a libFuzzer target,
# tests/bench/NAME.c is a benchmark. What a program is linked with besides libmsg:
#   UNIT_LINK_NAME := objects ($(B)/obj/…) and archives     UNIT_LIBS_NAME := -lsomething
#   FUZZ_LINK_NAME, FUZZ_LIBS_NAME, BENCH_LINK_NAME, BENCH_LIBS_NAME: the same
# Set them in the build.mk of the folder that is tested. Objects named for a fuzz target are made
# again by clang with its sanitizers under $(B)/fuzz/obj.
# This file is included last, but prerequisites must see variables that a build.mk sets later still.
.SECONDEXPANSION:

UNIT_NAMES := $(basename $(notdir $(wildcard tests/unit/*.c)))
FUZZ_NAMES := $(basename $(notdir $(wildcard tests/fuzz/*.c)))
BENCH_NAMES := $(basename $(notdir $(wildcard tests/bench/*.c)))

TESTS_UNIT += $(UNIT_NAMES:%=$(B)/tests/unit/%)
TESTS_FUZZ += $(FUZZ_NAMES:%=$(B)/tests/fuzz/%)
BENCHES += $(BENCH_NAMES:%=$(B)/tests/bench/%)

# pkg-config's answer is wanted only by those who link with Check.
CHECK_LIBS = $(shell pkg-config --libs check)

UNIT_FOLDER := $(B)/obj/tests/unit/fixture/folder.o

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(UNIT_FOLDER) $$(UNIT_LINK_$$*) $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter-out $(LIBMSG),$^) $(LIBMSG) $(UNIT_LIBS_$*) $(LIBMSG_LIBS) $(CHECK_LIBS)

$(B)/tests/bench/%: $(B)/obj/tests/bench/%.o $$(BENCH_LINK_$$*) $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter-out $(LIBMSG),$^) $(LIBMSG) $(BENCH_LIBS_$*) $(LIBMSG_LIBS)

# Check's START_TEST makes functions and its asserts convert freely: not ours to warn about.
$(B)/obj/tests/unit/%.o: WARN += -Wno-conversion -Wno-missing-prototypes

FUZZ_CC := clang
FUZZ_SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_CFLAGS = $(CSTD) $(WARN) -Wno-missing-prototypes -O1 -g -fPIE $(FUZZ_SANITIZE)

$(B)/fuzz/obj/%.o: %.c | $(B)/include/.protos
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/obj/proto/%.o: $(B)/include/proto/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CSTD) -O1 -g -fPIE -w $(FUZZ_SANITIZE) -I$(B)/include/proto -c -o $@ $<

FUZZ_LIBMSG := $(B)/fuzz/lib/libmsg.a
$(FUZZ_LIBMSG): $(LIBMSG_OBJECTS:$(B)/obj/%=$(B)/fuzz/obj/%)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/tests/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $$(patsubst $$(B)/obj/$$(percent),$$(B)/fuzz/obj/$$(percent),$$(filter-out $$(LIBMSG),$$(FUZZ_LINK_$$*))) $(FUZZ_LIBMSG)
	@mkdir -p $(@D)
	$(FUZZ_CC) -pie -fsanitize=fuzzer,address,undefined -o $@ $(filter-out $(FUZZ_LIBMSG),$^) $(FUZZ_LIBMSG) $(FUZZ_LIBS_$*) $(LIBMSG_LIBS)

BENCH_LINK_traps = $(FENCE)

percent := %

-include $(shell [ -d $(B)/fuzz/obj ] && find $(B)/fuzz/obj -name '*.d')

.SECONDARY:
.PHONY: tests-unit tests-fuzz benches
tests-unit: $(TESTS_UNIT)
tests-fuzz: $(TESTS_FUZZ)
benches: $(BENCHES)
