/* cppcheck.h: macros of libraries whose headers cppcheck does not read, as far as it must know them to parse what follows. */
#define json_array_foreach(array, i, value) for ((i) = 0; ((value) = json_array_get((array), (i))) != NULL; (i)++)
#define json_object_foreach(object, key, value) for ((key) = ""; ((value) = json_object_get((object), (key))) != NULL;)
#define LIST_HEAD(name, type) struct name { struct type *lh_first; }
#define LIST_ENTRY(type) struct { struct type *le_next; }
