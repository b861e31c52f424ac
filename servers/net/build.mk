# net: the network of a session; and the tests of its other half, in shim/core.
NET_CORE := $(patsubst %.c,$(B)/obj/%.o,$(wildcard shim/core/net*.c)) \
            $(addprefix $(B)/obj/shim/core/,memory.o text.o)

UNIT_LINK_net_name := $(B)/obj/shim/core/net_name.o
UNIT_LINK_net_call := $(NET_CORE)
UNIT_LINK_net_message := $(NET_CORE)
UNIT_LINK_net_server := $(B)/obj/shim/core/net_name.o $(B)/obj/servers/lib/process.o
BENCH_LINK_net_bench := $(NET_CORE)

NET := $(B)/libexec/hirsel/net
PROGRAMS += $(NET)

$(NET): $(patsubst %.c,$(B)/obj/%.o,$(wildcard servers/net/*.c)) \
        $(B)/obj/shim/core/net_name.o $(SERVERLIB) $(LIBMSG)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(STATIC_LIBS)

# It starts the server from where it is installed.
$(B)/tests/unit/net_server: | $(NET)
