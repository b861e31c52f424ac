#include "servers/fs/once.h"

bool once_ended(struct once *once, struct fs *fs, const struct msg *message, int *error)
{
    enum journal_state state = JOURNAL_NEW;

    *once = (struct once){.fs = fs, .request = message->request};
    if (once->request)
        state = journal_find(&fs->journal, once->request, error, &once->value);
    once->repeat = state == JOURNAL_BEGUN;
    return state == JOURNAL_ENDED;
}

void once_begin(struct once *once, uint64_t value)
{
    once->value = value;
    if (once->request)
        journal_begin(&once->fs->journal, once->request, value);
}

void once_end(const struct once *once, int error)
{
    if (once->request)
        journal_end(&once->fs->journal, once->request, error, once->value);
}
