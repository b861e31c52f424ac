# What tries to get out of a confined tree: with a C library to be met by the shim, and without one to
# copy, for which there is the trap alone. tests/session/47_confine.sh runs both.
ESCAPE_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/escape/*.c))
# They go into memory and into other processes by design: no sanitizer.
$(ESCAPE_OBJECTS) $(B)/tests/escape/escape $(B)/tests/escape/escape-static: override SANITIZE :=

$(B)/tests/escape/escape: $(ESCAPE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -pthread -lrt

$(B)/tests/escape/escape-static: $(ESCAPE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) -static -o $@ $^ -pthread -lrt

TESTS_UNIT += $(B)/tests/escape/escape $(B)/tests/escape/escape-static
