# proc: the processes of a session.
PROC_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/proc/*.c))
PROGRAMS += $(B)/libexec/hirsel/proc

$(B)/libexec/hirsel/proc: $(PROC_OBJECTS) $(B)/lib/libserver.a $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(STATIC_LIBS)
