# trap: the system calls that the shim did not decide. It decides with the shim's own objects.
TRAP_SHIM := $(addprefix $(B)/obj/shim/,$(addsuffix .o,\
	core/calls core/channel core/held core/host core/memory core/node core/scratch core/table core/text core/walk core/restrict \
	core/net core/net_bind core/net_connect core/net_memory core/net_message core/net_name \
	core/net_socket core/unix_name \
	door/handover door/identity door/list door/node_call door/open door/path door/path_text door/quick door/shape door/slow \
	door/socket door/taught door/two_paths door/ways))
TRAP_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/trap/*.c))
# All but main: what the unit tests link.
TRAP_PARTS := $(filter-out %/main.o,$(TRAP_OBJECTS)) $(TRAP_SHIM)
PROGRAMS += $(B)/libexec/hirsel/trap

$(B)/libexec/hirsel/trap: $(TRAP_OBJECTS) $(TRAP_SHIM) $(B)/lib/libfence.a $(B)/lib/libserver.a $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(STATIC_LIBS)

TRAP_UNITS := trap_homes trap_journal trap_call trap_overrun
$(foreach unit,$(TRAP_UNITS),$(eval UNIT_LINK_$(unit) = $$(TRAP_PARTS) $$(B)/lib/libfence.a $$(SERVERLIB)))
$(foreach unit,$(TRAP_UNITS),$(eval UNIT_LIBS_$(unit) = -lseccomp))
