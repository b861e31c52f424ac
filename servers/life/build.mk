# The life of translators.
LIFELIB := $(B)/lib/liblife.a
LIFELIB_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/life/*.c))

$(LIFELIB): $(LIFELIB_OBJECTS)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^
