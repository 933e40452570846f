"""Parts of the blend stage: reading the members, quantiles, post-processing, what each member is worth."""
