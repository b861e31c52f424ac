# hirsel: the user's way in, and what it starts.
SHELL_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(filter-out shell/enter.c,$(wildcard shell/*.c)))
SHELL_LIBS := $(STATIC_LIBS) -ljansson
PROGRAMS += $(B)/bin/hirsel $(B)/libexec/hirsel/enter

$(B)/bin/hirsel: $(SHELL_OBJECTS) $(B)/lib/libserver.a $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(SHELL_LIBS)

$(B)/libexec/hirsel/enter: $(B)/obj/shell/enter.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^
