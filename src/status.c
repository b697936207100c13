/* Statuses and operations as text, from their tables. */
#include <larder/larder.h>

#define STRING(text) STRING_OF(text)
#define STRING_OF(text) #text

const char *larder_status_name(enum larder_status status)
{
    switch (status) {
#define NAME_CASE(name, number, class_name, sentence) \
    case LARDER_##name:                               \
        return #name;
        LARDER_STATUS_TABLE(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

const char *larder_status_sentence(enum larder_status status)
{
    switch (status) {
#define SENTENCE_CASE(name, number, class_name, sentence) \
    case LARDER_##name:                                   \
        return sentence;
        LARDER_STATUS_TABLE(SENTENCE_CASE)
#undef SENTENCE_CASE
    }
    return "no status of this library";
}

enum larder_status_class larder_status_class(enum larder_status status)
{
    switch (status) {
#define CLASS_CASE(name, number, class_name, sentence) \
    case LARDER_##name:                                \
        return LARDER_CLASS_##class_name;
        LARDER_STATUS_TABLE(CLASS_CASE)
#undef CLASS_CASE
    }
    return LARDER_CLASS_CALLER;
}

const char *larder_version(void)
{
    return STRING(LARDER_VERSION_MAJOR) "." STRING(LARDER_VERSION_MINOR) "." STRING(
        LARDER_VERSION_PATCH);
}
