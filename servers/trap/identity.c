/* Whom the worker is at this moment: what the shim's functions know of their program. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/core/text.h"
#include "shim/door/door.h"

struct shim the_shim;

void *table_map(size_t size, int protection)
{
    char path[SESSION_LIMIT + 40];
    size_t length = the_shim.core.session_length;
    int file;
    void *memory;

    bytes_copy(path, the_shim.core.session, length);
    bytes_copy(path + length, "/spaces/", 8);
    length += 8;
    length += text_put_number(path + length, the_shim.core.space);
    bytes_copy(path + length, "/table", sizeof "/table");
    file = open(path, (protection & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return NULL;
    memory = mmap(NULL, size, protection, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}
