#include <criterion/criterion.h>
#include <string.h>

#include "base/crc32c.h"

/* The examples of RFC 3720, B.4, and the customary check value. */
Test(crc32c, known_values)
{
	unsigned char bytes[32];

	cr_expect_eq(crc32c(0, "123456789", 9), 0xE3069283);
	cr_expect_eq(crc32c(0, "", 0), 0);
	memset(bytes, 0, sizeof(bytes));
	cr_expect_eq(crc32c(0, bytes, sizeof(bytes)), 0x8A9136AA);
	memset(bytes, 0xFF, sizeof(bytes));
	cr_expect_eq(crc32c(0, bytes, sizeof(bytes)), 0x62A8AB43);
	for (unsigned char i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	cr_expect_eq(crc32c(0, bytes, sizeof(bytes)), 0x46DD794E);
}

Test(crc32c, goes_on_where_it_ended)
{
	cr_expect_eq(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
}
