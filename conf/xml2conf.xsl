<?xml version="1.0" encoding="UTF-8"?>
<!-- corosync.xml(5) to corosync.conf(5): below <corosync>, an element is a section, an attribute an option. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text" encoding="UTF-8"/>
  <xsl:param name="step" select="'    '"/>

  <xsl:template match="/">
    <xsl:if test="not(corosync)">
      <xsl:message terminate="yes">The outermost element has to be corosync.</xsl:message>
    </xsl:if>
    <xsl:apply-templates select="corosync/*"/>
  </xsl:template>

  <xsl:template match="*">
    <xsl:param name="indent" select="''"/>
    <xsl:value-of select="concat('&#10;', $indent, name(), ' {&#10;')"/>
    <xsl:for-each select="@*">
      <xsl:value-of select="concat($indent, $step, name(), ': ', ., '&#10;')"/>
    </xsl:for-each>
    <xsl:apply-templates select="*">
      <xsl:with-param name="indent" select="concat($indent, $step)"/>
    </xsl:apply-templates>
    <xsl:value-of select="concat($indent, '}&#10;')"/>
  </xsl:template>
</xsl:stylesheet>
