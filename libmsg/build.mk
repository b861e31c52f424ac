# libmsg and the .proto files of every interface.
LIBMSG := $(B)/lib/libmsg.a
LIBMSG_LIBS := -lprotobuf-c -lev

PROTOS := $(wildcard libmsg/proto/*.proto)
PROTO_NAMES := $(notdir $(PROTOS:.proto=))
PROTO_HEADERS := $(PROTO_NAMES:%=$(B)/include/proto/%.pb-c.h)
PROTO_OBJECTS := $(PROTO_NAMES:%=$(B)/obj/proto/%.pb-c.o)

$(B)/include/proto/%.pb-c.h $(B)/include/proto/%.pb-c.c: libmsg/proto/%.proto
	@mkdir -p $(B)/include/proto
	protoc-c --proto_path=libmsg/proto --c_out=$(B)/include/proto $<

$(B)/include/.protos: $(PROTO_HEADERS)
	@touch $@

# Generated: our warnings are not its business.
$(B)/obj/proto/%.o: $(B)/include/proto/%.c
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(OPT) -fPIC -w $(SANITIZE) -I$(B)/include/proto -c -o $@ $<

LIBMSG_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard libmsg/*.c)) $(PROTO_OBJECTS)

$(LIBMSG): $(LIBMSG_OBJECTS)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

BENCH_LIBS_msg_bench := -lsystemd
