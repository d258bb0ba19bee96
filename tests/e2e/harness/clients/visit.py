"""One visit by Python's own client: URL, file of authorities, version."""

import ssl
import sys
import urllib.request

url, authorities, version = sys.argv[1:]
context = ssl.create_default_context(cafile=authorities)
context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
print(opener.open(url).read().decode())
