# init: the guard.
INIT_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/init/*.c))
PROGRAMS += $(B)/libexec/hirsel/init

$(B)/libexec/hirsel/init: $(INIT_OBJECTS) $(FENCE) $(B)/lib/libserver.a $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(STATIC_LIBS)
