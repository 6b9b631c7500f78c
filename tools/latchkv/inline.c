/* SPDX-License-Identifier: MIT */
/* Nothing is done before the line is complete.  Words are unquoted in place: what is written never
 * overtakes what is read, since every escape is longer than what it stands for. */
#include "latchkv/inline.h"

#include <ctype.h>
#include <string.h>

struct line {
    const char *at, *end; /* what is left to read */
    char *to;             /* where the word goes on */
};

static bool is_blank(char c)
{
    return isspace((unsigned char)c) || c == '\0';
}

/* Other blanks, as a vertical tab, are left out before a word, but are part of it within. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static int hex_digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static char escaped(char c)
{
    static const char names[] = "nrtba", values[] = "\n\r\t\b\a";
    const char *name = c != '\0' ? strchr(names, c) : NULL;

    return name != NULL ? values[name - names] : c;
}

/* Behind a backslash in double quotes. */
static void read_escape(struct line *line)
{
    if (line->end - line->at >= 3 && line->at[0] == 'x' && hex_digit(line->at[1]) >= 0 &&
        hex_digit(line->at[2]) >= 0) {
        *line->to++ = (char)(hex_digit(line->at[1]) * 16 + hex_digit(line->at[2]));
        line->at += 3;
    } else {
        *line->to++ = escaped(*line->at++);
    }
}

/* Behind the opening quote.  False: no closing quote, or no blank behind it. */
static bool read_quoted(struct line *line, char quote)
{
    while (line->at < line->end) {
        char c = *line->at++;

        if (c == quote)
            return line->at == line->end || is_blank(*line->at);
        if (c == '\\' && line->at < line->end) {
            if (quote == '"') {
                read_escape(line);
                continue;
            }
            if (*line->at == '\'')
                c = *line->at++;
        }
        *line->to++ = c;
    }
    return false;
}

static bool read_word(struct line *line)
{
    while (line->at < line->end && !ends_word(*line->at)) {
        char c = *line->at++;

        if (c == '"' || c == '\'')
            return read_quoted(line, c);
        *line->to++ = c;
    }
    return true;
}

enum kv_parse kv_parser_inline(struct kv_parser *parser, char *data, size_t size)
{
    char *newline = memchr(data, '\n', size);
    struct line line = {data, newline, data};

    if (newline == NULL)
        return size > KV_LINE_MAX
                   ? kv_parser_broken(parser, "Protocol error: too big inline request")
                   : KV_PARSE_MORE;
    if (newline > data && newline[-1] == '\r')
        line.end = newline - 1;

    for (;;) {
        while (line.at < line.end && is_blank(*line.at))
            line.at++;
        if (line.at == line.end)
            break;
        line.to = data + (line.at - data);
        char *word = line.to;
        if (!read_word(&line))
            return kv_parser_broken(parser, "Protocol error: unbalanced quotes in request");
        if (!kv_parser_add(parser, (size_t)(word - data), (size_t)(line.to - word)))
            return KV_PARSE_NOMEM;
    }
    parser->at = (size_t)(newline - data) + 1;
    return kv_parser_done(parser, data);
}
