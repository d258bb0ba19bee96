/*
 * inherit.c: what a level does not give comes from the one above.
 */
#include "conf/inherit.h"

/* Only rows of numbers stand in objects that inherit. */
static void
fill(const struct key_object *o, void *base, const void *above)
{
	for (size_t i = 0; i < o->n_keys; i++) {
		uint64_t *v = (void *)((char *)base + o->keys[i].offset);
		if (*v == CONF_UNSET)
			*v = above != NULL ? *(const uint64_t *)(const void *)((const char *)above + o->keys[i].offset)
					   : o->keys[i].preset;
	}
}

void
conf_inherit(struct conf *c)
{
	fill(&keys_limits, &c->limits, NULL);
	fill(&keys_timeouts, &c->timeouts, NULL);
	for (size_t i = 0; i < c->n_sites; i++) {
		struct conf_site *s = &c->sites[i];
		fill(&keys_limits, &s->limits, &c->limits);
		fill(&keys_timeouts, &s->timeouts, &c->timeouts);
		for (size_t j = 0; j < s->n_routes; j++) {
			fill(&keys_limits, &s->routes[j].limits, &s->limits);
			fill(&keys_timeouts, &s->routes[j].timeouts, &s->timeouts);
		}
	}
}
