#include "servers/lib/once.h"

#include "libmsg/msg.h"

bool once_ended(struct once *once, struct journal *journal, const struct msg *message, int *error)
{
    enum journal_state state = JOURNAL_NEW;

    *once = (struct once){.journal = journal, .request = message->request};
    if (once->request)
        state = journal_find(journal, once->request, error, &once->value);
    once->repeat = state == JOURNAL_BEGUN;
    return state == JOURNAL_ENDED;
}

void once_begin(struct once *once, uint64_t value)
{
    once->value = value;
    if (once->request)
        journal_begin(once->journal, once->request, value);
}

void once_end(const struct once *once, int error)
{
    if (once->request)
        journal_end(once->journal, once->request, error, once->value);
}
