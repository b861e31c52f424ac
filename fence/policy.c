/* The policy of a confined tree: its lists, what they allow, and how they are packed. */
#include "fence/fence.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fence/internal.h"
#include "proto/policy.pb-c.h"
#include "shim/core/lane.h"

/* More than this in any list is no policy that somebody wrote. */
enum { LIST_MAX = 4096 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void fence_policy_clear(struct fence_policy *policy)
{
    for (size_t i = 0; i < policy->path_count; i++)
        free(policy->paths[i].path);
    for (size_t i = 0; i < policy->host_count; i++)
        free(policy->hosts[i].name);
    for (size_t i = 0; i < policy->variable_count; i++)
        free(policy->variables[i]);
    free(policy->paths);
    free(policy->hosts);
    free(policy->variables);
    free(policy->memory);
    free(policy->programs);
    *policy = (struct fence_policy){0};
}

/* Room for one more in a list; false: errno is ENOMEM or E2BIG. */
static bool list_grow(void **list, size_t count, size_t size)
{
    void *longer;

    if (count >= LIST_MAX) {
        errno = E2BIG;
        return false;
    }
    longer = reallocarray(*list, count + 1, size);
    if (!longer)
        return false;
    *list = longer;
    return true;
}

/* Takes `path`, whether it succeeds or not. */
static int path_append(struct fence_policy *policy, char *path, unsigned access)
{
    if (!list_grow((void **)&policy->paths, policy->path_count, sizeof *policy->paths)) {
        free(path);
        return errno;
    }
    policy->paths[policy->path_count++] = (struct fence_path){.path = path, .access = access};
    return 0;
}

char *fence_path_host(const char *path)
{
    int descriptor = open(path, O_PATH | O_CLOEXEC);
    char link[32], host[PATH_MAX];
    struct stat meant, there;
    long length;
    bool found;

    if (descriptor < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = lane_call(SYS_readlink, (long)link, (long)host, sizeof host - 1, 0, 0);
    if (length > 0)
        host[length] = '\0';
    /* What was removed meanwhile, or is out of reach, has none. */
    found = length > 0 && host[0] == '/' && fstat(descriptor, &meant) == 0 &&
            lane_call(SYS_newfstatat, AT_FDCWD, (long)host, (long)&there, 0, 0) == 0 &&
            meant.st_dev == there.st_dev && meant.st_ino == there.st_ino;
    close(descriptor);
    if (!found) {
        errno = ENOENT;
        return NULL;
    }
    return strdup(host);
}

int fence_policy_add_path(struct fence_policy *policy, const char *path, unsigned access)
{
    char *real = fence_path_host(path);

    /* In a session what is below a node has a place on the host, but it is none that lasts. */
    if (real ? strstr(real, "/nodes/") != NULL : errno == ENOENT) {
        char *named = fence_path_in_node(path);

        if (named) {
            free(real);
            real = named;
        }
    }
    if (!real)
        return errno;
    return path_append(policy, real, access);
}

int fence_host_append(struct fence_policy *policy, const struct fence_host *host)
{
    struct fence_host added = *host;

    added.name = strdup(host->name);
    if (!added.name)
        return ENOMEM;
    if (!list_grow((void **)&policy->hosts, policy->host_count, sizeof *policy->hosts)) {
        free(added.name);
        return errno;
    }
    policy->hosts[policy->host_count++] = added;
    return 0;
}

int fence_policy_add_variable(struct fence_policy *policy, const char *name)
{
    char *copy;

    if (name[0] == '\0' || strchr(name, '='))
        return EINVAL;
    copy = strdup(name);
    if (!copy)
        return ENOMEM;
    if (!list_grow((void **)&policy->variables, policy->variable_count,
                   sizeof *policy->variables)) {
        free(copy);
        return errno;
    }
    policy->variables[policy->variable_count++] = copy;
    return 0;
}

static int directory_set(char **directory, const char *path)
{
    char *real = fence_path_host(path);

    if (!real)
        return errno;
    free(*directory);
    *directory = real;
    return 0;
}

int fence_policy_set_memory(struct fence_policy *policy, const char *directory)
{
    return directory_set(&policy->memory, directory);
}

int fence_policy_set_programs(struct fence_policy *policy, const char *directory)
{
    return directory_set(&policy->programs, directory);
}

static size_t paths_pack(const struct fence_policy *policy, Hirsel__FencePath *paths,
                         Hirsel__FencePath **list)
{
    for (size_t i = 0; i < policy->path_count; i++) {
        hirsel__fence_path__init(&paths[i]);
        paths[i].path.data = (uint8_t *)policy->paths[i].path;
        paths[i].path.len = strlen(policy->paths[i].path);
        paths[i].access = policy->paths[i].access;
        list[i] = &paths[i];
    }
    return policy->path_count;
}

static size_t hosts_pack(const struct fence_policy *policy, Hirsel__FenceHost *hosts,
                         Hirsel__FenceHost **list)
{
    for (size_t i = 0; i < policy->host_count; i++) {
        struct fence_host *host = &policy->hosts[i];
        hirsel__fence_host__init(&hosts[i]);
        hosts[i].name = host->name;
        hosts[i].address.data = host->address;
        hosts[i].address.len = host->any_host ? 0 : sizeof host->address;
        hosts[i].port = host->any_port ? 0 : host->port;
        hosts[i].access = host->access;
        list[i] = &hosts[i];
    }
    return policy->host_count;
}

static size_t variables_pack(const struct fence_policy *policy, ProtobufCBinaryData *list)
{
    for (size_t i = 0; i < policy->variable_count; i++) {
        list[i].data = (uint8_t *)policy->variables[i];
        list[i].len = strlen(policy->variables[i]);
    }
    return policy->variable_count;
}

int fence_policy_pack(const struct fence_policy *policy, uint8_t **bytes, size_t *length)
{
    Hirsel__FencePolicy message = HIRSEL__FENCE_POLICY__INIT;
    /* One more of each: no list is asked for as nothing. */
    Hirsel__FencePath *paths = calloc(policy->path_count + 1, sizeof *paths);
    Hirsel__FenceHost *hosts = calloc(policy->host_count + 1, sizeof *hosts);
    message.paths = calloc(policy->path_count + 1, sizeof *message.paths);
    message.hosts = calloc(policy->host_count + 1, sizeof *message.hosts);
    message.variables = calloc(policy->variable_count + 1, sizeof *message.variables);
    int error = ENOMEM;

    if (!paths || !hosts || !message.paths || !message.hosts || !message.variables)
        goto out;
    message.confined = policy->confined;
    message.n_paths = paths_pack(policy, paths, message.paths);
    message.n_hosts = hosts_pack(policy, hosts, message.hosts);
    message.n_variables = variables_pack(policy, message.variables);
    message.memory.data = (uint8_t *)policy->memory;
    message.memory.len = policy->memory ? strlen(policy->memory) : 0;
    message.programs.data = (uint8_t *)policy->programs;
    message.programs.len = policy->programs ? strlen(policy->programs) : 0;
    *length = hirsel__fence_policy__get_packed_size(&message);
    *bytes = malloc(*length + 1);
    if (!*bytes)
        goto out;
    hirsel__fence_policy__pack(&message, *bytes);
    error = 0;
out:
    free(paths);
    free(hosts);
    free(message.paths);
    free(message.hosts);
    free(message.variables);
    return error;
}

/* A copy with a NUL; NULL for what is empty or has a NUL already. errno says which. */
static char *text_of(ProtobufCBinaryData bytes)
{
    errno = EINVAL;
    return bytes.len == 0 || memchr(bytes.data, 0, bytes.len)
               ? NULL
               : strndup((const char *)bytes.data, bytes.len);
}

/* Absolute and normal: no component is empty, "." or "..". */
static bool path_is_normal(const char *path)
{
    if (strcmp(path, "/") == 0)
        return true;
    while (*path == '/') {
        size_t length = strcspn(path + 1, "/");
        if (length == 0 || (length == 1 && path[1] == '.') ||
            (length == 2 && path[1] == '.' && path[2] == '.'))
            return false;
        path += 1 + length;
        if (*path == '\0')
            return true;
    }
    return false;
}

static int path_take(struct fence_policy *policy, const Hirsel__FencePath *packed)
{
    char *path = text_of(packed->path);

    if (!path)
        return errno;
    if (!path_is_normal(path) ||
        packed->access & ~(unsigned)(FENCE_READ | FENCE_WRITE | FENCE_EXECUTE)) {
        free(path);
        return EINVAL;
    }
    return path_append(policy, path, packed->access);
}

static int host_take(struct fence_policy *policy, const Hirsel__FenceHost *packed)
{
    struct fence_host host = {
        .name = packed->name,
        .any_host = packed->address.len == 0,
        .any_port = packed->port == 0,
        .port = (uint16_t)packed->port,
        .access = packed->access,
    };

    if (packed->port > UINT16_MAX || (packed->access & ~(unsigned)(FENCE_CONNECT | FENCE_BIND)) ||
        (!host.any_host && packed->address.len != sizeof host.address))
        return EINVAL;
    if (!host.any_host)
        memcpy(host.address, packed->address.data, sizeof host.address);
    return fence_host_append(policy, &host);
}

static int directory_take(char **directory, ProtobufCBinaryData packed)
{
    if (packed.len == 0)
        return 0;
    *directory = text_of(packed);
    if (!*directory)
        return errno;
    return path_is_normal(*directory) ? 0 : EINVAL;
}

static int variable_take(struct fence_policy *policy, ProtobufCBinaryData packed)
{
    char *name = text_of(packed);
    int error;

    if (!name)
        return errno;
    error = fence_policy_add_variable(policy, name);
    free(name);
    return error;
}

int fence_policy_unpack(struct fence_policy *policy, const uint8_t *bytes, size_t length)
{
    Hirsel__FencePolicy *message = hirsel__fence_policy__unpack(NULL, length, bytes);
    int error = 0;

    *policy = (struct fence_policy){0};
    if (!message)
        return EINVAL;
    policy->confined = message->confined;
    for (size_t i = 0; i < message->n_paths && error == 0; i++)
        error = path_take(policy, message->paths[i]);
    for (size_t i = 0; i < message->n_hosts && error == 0; i++)
        error = host_take(policy, message->hosts[i]);
    for (size_t i = 0; i < message->n_variables && error == 0; i++)
        error = variable_take(policy, message->variables[i]);
    if (error == 0)
        error = directory_take(&policy->memory, message->memory);
    if (error == 0)
        error = directory_take(&policy->programs, message->programs);
    hirsel__fence_policy__free_unpacked(message, NULL);
    if (error != 0)
        fence_policy_clear(policy);
    return error;
}

/* Whether `path` is `top` or lies below it. */
static bool path_is_below(const char *path, const char *top)
{
    size_t length = strlen(top);

    if (length == 1)
        return path[0] == '/';
    return strncmp(path, top, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

bool fence_policy_allows(const struct fence_policy *policy, const char *path, unsigned access)
{
    unsigned allowed = 0;

    if (!policy->confined)
        return true;
    for (size_t i = 0; i < policy->path_count; i++)
        if (path_is_below(path, policy->paths[i].path))
            allowed |= policy->paths[i].access;
    return (access & ~allowed) == 0;
}

bool fence_policy_shows(const struct fence_policy *policy, const char *path)
{
    if (!policy->confined)
        return true;
    for (size_t i = 0; i < policy->path_count; i++)
        if (path_is_below(path, policy->paths[i].path) ||
            path_is_below(policy->paths[i].path, path))
            return true;
    return false;
}

bool fence_address_read(const struct sockaddr *address, size_t length, uint8_t bytes[16],
                        uint16_t *port)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    sa_family_t family;

    if (length < sizeof family)
        return false;
    memcpy(&family, address, sizeof family);
    if (family == AF_INET && length >= sizeof in) {
        memcpy(&in, address, sizeof in);
        memcpy(bytes, mapped_prefix, sizeof mapped_prefix);
        memcpy(bytes + sizeof mapped_prefix, &in.sin_addr, sizeof in.sin_addr);
        *port = ntohs(in.sin_port);
        return true;
    }
    /* The kernel takes an IPv6 address without its last member, the scope (RFC 2133). */
    if (family == AF_INET6 && length >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        memcpy(&in6, address, offsetof(struct sockaddr_in6, sin6_scope_id));
        memcpy(bytes, &in6.sin6_addr, 16);
        *port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

bool fence_policy_allows_address(const struct fence_policy *policy, const struct sockaddr *address,
                                 size_t length, unsigned access)
{
    uint8_t bytes[16];
    uint16_t port;

    if (!policy->confined)
        return true;
    if (!fence_address_read(address, length, bytes, &port))
        return false;
    for (size_t i = 0; i < policy->host_count; i++) {
        const struct fence_host *host = &policy->hosts[i];
        if ((access & ~host->access) == 0 && (host->any_port || host->port == port) &&
            (host->any_host || memcmp(host->address, bytes, sizeof bytes) == 0))
            return true;
    }
    return false;
}

bool fence_policy_has_hosts(const struct fence_policy *policy)
{
    return policy->host_count > 0;
}

struct fence_options fence_policy_options(const struct fence_policy *policy, bool network,
                                          int landlock)
{
    return (struct fence_options){
        .confined = policy->confined,
        .network = network,
        .internet = policy->confined && fence_policy_has_hosts(policy),
        .report = policy->confined,
        .landlock = policy->confined ? landlock : 0,
    };
}

/* Landlock knows single ports only: an access that some rule gives to all of them is not held by
 * it. */
static unsigned ports_wanted(const struct fence_policy *policy)
{
    unsigned wanted = FENCE_HOLD_CONNECT | FENCE_HOLD_BIND;

    for (size_t i = 0; i < policy->host_count; i++) {
        if (policy->hosts[i].any_port && policy->hosts[i].access & FENCE_CONNECT)
            wanted &= ~(unsigned)FENCE_HOLD_CONNECT;
        if (policy->hosts[i].any_port && policy->hosts[i].access & FENCE_BIND)
            wanted &= ~(unsigned)FENCE_HOLD_BIND;
    }
    return wanted;
}

int fence_policy_enforce(const struct fence_policy *policy, bool network, unsigned *missing)
{
    unsigned ports = FENCE_HOLD_CONNECT | FENCE_HOLD_BIND;
    unsigned wanted = FENCE_HOLD_ALL & ~ports;
    struct fence_landlock fence;
    int error;

    *missing = 0;
    if (!policy->confined)
        return 0;
    if (!network)
        wanted |= ports_wanted(policy);
    error = fence_landlock_begin(&fence, wanted);
    *missing = fence.missing;
    if (error == ENOSYS || error == EOPNOTSUPP)
        return 0;
    for (size_t i = 0; i < policy->path_count && error == 0; i++) {
        error = fence_landlock_allow(&fence, policy->paths[i].path, policy->paths[i].access);
        /* Gone since the policy was made: then there is nothing to allow. */
        if (error == ENOENT)
            error = 0;
    }
    for (size_t i = 0; i < policy->host_count && error == 0; i++)
        if (!policy->hosts[i].any_port)
            error =
                fence_landlock_allow_port(&fence, policy->hosts[i].port, policy->hosts[i].access);
    if (error == 0)
        return fence_landlock_enforce(&fence);
    fence_landlock_end(&fence);
    return error;
}

int fence_capabilities_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};

    /* What stays in the bounding set can't be had again under no_new_privs. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &header, none) != 0)
        return errno;
    return 0;
}
