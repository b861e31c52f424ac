# What tries to get out of a confined tree: with a C library to be met by the shim, and without one,
# for which there is the trap alone. tests/session/47_confine.sh runs both. And what makes a place
# where something is refused.
ESCAPE_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(filter-out tests/escape/refuse.c,$(wildcard tests/escape/*.c)))
ESCAPE_PROGRAMS := $(addprefix $(B)/tests/escape/,escape escape-static refuse)
# They go into memory and into other processes by design: no sanitizer.
$(ESCAPE_OBJECTS) $(ESCAPE_PROGRAMS): override SANITIZE :=

$(B)/tests/escape/escape: $(ESCAPE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -pthread -lrt

$(B)/tests/escape/escape-static: $(ESCAPE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) -static -o $@ $^ -pthread -lrt

$(B)/tests/escape/refuse: $(B)/obj/tests/escape/refuse.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

TESTS_UNIT += $(ESCAPE_PROGRAMS)
