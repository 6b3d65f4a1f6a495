"""Looks at pages in a real browser, and checks them with axe-core and the W3C's validator."""
