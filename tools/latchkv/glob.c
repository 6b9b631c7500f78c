/* SPDX-License-Identifier: MIT */
/* Matching goes back to the last star only: where an earlier star could match more, the last one
 * can do so as well.  So the worst case is pattern x text steps, and no pattern of a hostile
 * client takes exponential time.
 *
 * An unfinished class is taken as Redis takes it: "[ab" is [ab], and "[" matches nothing. */
#include "latchkv/glob.h"

#include <ctype.h>

struct glob {
    const char *at, *end;
    bool ignore_case;
};

static int folded(const struct glob *glob, char c)
{
    return glob->ignore_case ? tolower((unsigned char)c) : (unsigned char)c;
}

/* Is c in the class that starts behind glob->at?  Moves behind the class. */
static bool class_has(struct glob *glob, char c)
{
    const char *at = glob->at + 1;
    bool inverted = at < glob->end && *at == '^';
    bool found = false;
    int wanted = folded(glob, c);

    for (at += inverted; at < glob->end && *at != ']'; at++) {
        if (*at == '\\' && glob->end - at >= 2) {
            at++;
            found |= *at == c; /* an escaped byte is exact, as in Redis */
        } else if (glob->end - at >= 3 && at[1] == '-') {
            int low = folded(glob, at[0]), high = folded(glob, at[2]);

            at += 2;
            found |=
                low <= high ? low <= wanted && wanted <= high : high <= wanted && wanted <= low;
        } else {
            found |= folded(glob, *at) == wanted;
        }
    }
    glob->at = at < glob->end ? at + 1 : at;
    return found != inverted;
}

/* Does c match the one element (not a star) at glob->at?  Moves behind it. */
static bool element_matches(struct glob *glob, char c)
{
    switch (*glob->at) {
    case '?':
        glob->at++;
        return true;
    case '[':
        return class_has(glob, c);
    case '\\':
        if (glob->end - glob->at >= 2)
            glob->at++;
        break;
    default:
        break;
    }
    return folded(glob, *glob->at++) == folded(glob, c);
}

bool kv_glob_match(const char *pattern, size_t pattern_size, const char *text, size_t text_size,
                   bool ignore_case)
{
    struct glob glob = {pattern, pattern + pattern_size, ignore_case};
    const char *text_end = text + text_size;
    const char *star = NULL, *star_text = NULL;

    while (text < text_end) {
        if (glob.at < glob.end && *glob.at == '*') {
            star = ++glob.at;
            star_text = text;
        } else if (glob.at < glob.end && element_matches(&glob, *text)) {
            text++;
        } else if (star != NULL) {
            glob.at = star;
            text = ++star_text;
        } else {
            return false;
        }
    }
    while (glob.at < glob.end && *glob.at == '*')
        glob.at++;
    return glob.at == glob.end;
}
