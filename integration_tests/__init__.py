"""Tests on real Flower: SuperLinks, SuperNodes and apps, native and through the bridge."""
