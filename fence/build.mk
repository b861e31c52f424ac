# fence: what a process may do. A library that the shell, init, the trap server and the tests share.
FENCE := $(B)/lib/libfence.a
FENCE_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard fence/*.c))

$(FENCE): $(FENCE_OBJECTS)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

UNIT_LINK_fence_filter := $(FENCE) $(B)/obj/shim/core/calls.o
UNIT_LINK_fence_page := $(FENCE)
BENCH_LINK_fence_bench := $(FENCE)
UNIT_LINK_fence_policy := $(FENCE)
UNIT_LINK_fence_probe := $(FENCE)
